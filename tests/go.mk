# Whether Go is as new as go.mod asks. It is asked outside of the module, where an old Go does not stumble over go.mod first.
.PHONY: go
go:
	@need=$$(awk '$$1 == "go" {print $$2}' go.mod); have=$$(cd / && go env GOVERSION 2>/dev/null | sed 's/^go//'); \
	if [ "$$(printf '%s\n' "$$need" "$$have" | sort -V | head -n 1)" != "$$need" ]; then \
		echo "$(notdir $(CURDIR)) needs Go $$need or newer; found: $${have:-none} (https://go.dev/dl)" >&2; exit 1; \
	fi

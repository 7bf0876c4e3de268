package main

import (
	"encoding/pem"
	"errors"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// sources are those whose rules hold for any PKI. Left out are the rules of the public web's CAs (CA/Browser Forum and
// the browsers' root programmes), of ETSI, and of Certificate Transparency.
var sources = lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813, lint.Community}

// A finding is a lint that did not pass.
type finding struct {
	Lint string `json:"lint"`
	Says string `json:"says"`
}

type linter struct{ lints lint.Registry }

func newLinter() (*linter, error) {
	lints, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: sources})
	return &linter{lints}, err
}

// lint is zlint's judgement of the leaf.
func (l *linter) lint(q question) ([]finding, error) {
	leaf, _ := pem.Decode([]byte(q.Chain))
	if leaf == nil {
		return nil, errors.New("the chain is not PEM")
	}
	certificate, err := x509.ParseCertificate(leaf.Bytes)
	if err != nil {
		return []finding{{Lint: "parse", Says: err.Error()}}, nil
	}
	results := zlint.LintCertificateEx(certificate, l.lints).Results
	if len(results) == 0 {
		return nil, errors.New("zlint has no lints")
	}
	findings := []finding{}
	for name, result := range results {
		if result.Status >= lint.Warn {
			findings = append(findings, finding{Lint: name, Says: result.Details})
		}
	}
	return findings, nil
}

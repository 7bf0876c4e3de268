package controlplane

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// body is what TestCommand runs.
var body func(*testing.T)

// TestMain is the command's main function. The binary is a test only because cert-manager's webhook starter takes a
// *testing.T: the arguments are the command's own, and testing sees nothing of them.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(m.Run()) // "go test ./...": there is nothing to test in this package
	}
	asked, err := parseArguments(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		os.Exit(exitUsage)
	}
	os.Exit(asked.execute(func(f func(*testing.T)) {
		body = f
		// Verbose, so that what the webhook logs through its *testing.T is written at once instead of being kept.
		os.Args = []string{os.Args[0], "-test.run=^TestCommand$", "-test.v"}
		m.Run() // its result is whether f failed, which f itself knows better
	}))
}

func TestCommand(t *testing.T) {
	if body == nil {
		t.Skip("the command is not a test: see README.md")
	}
	body(t)
}

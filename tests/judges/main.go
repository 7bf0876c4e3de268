// Command judges reads certificates and says what is wrong with them. It shares no code with the issuer.
//
// Standard input has one JSON object a line:
//
//	{"name": "any", "chain": "PEM: the leaf, then its issuers", "roots": "PEM: what is trusted"}
//
// Standard output has one for each, in order: what crypto/x509 has against it, and which of zlint's lints warn or fail.
//
//	{"name": "any", "go": ["x509: …"], "zlint": [{"lint": "e_…", "says": "…"}]}
//
// As "judges keys" it reads and judges public keys: see judgeKeys.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

type question struct {
	Name  string `json:"name"`
	Chain string `json:"chain"`
	Roots string `json:"roots"`
}

type verdict struct {
	Name  string    `json:"name"`
	Go    []string  `json:"go"`
	Zlint []finding `json:"zlint"`
}

func main() {
	task := judge
	if len(os.Args) == 2 && os.Args[1] == "keys" {
		task = judgeKeys
	}
	if err := task(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "judges: %v\n", err)
		os.Exit(1)
	}
}

func judge(r io.Reader, w io.Writer) error {
	linter, err := newLinter()
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(bufio.NewReader(r)), json.NewEncoder(w)
	for {
		q := question{}
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		v := verdict{Name: q.Name, Go: verify(q)}
		if v.Zlint, err = linter.lint(q); err != nil {
			return fmt.Errorf("%s: %w", q.Name, err)
		}
		if err := out.Encode(v); err != nil {
			return err
		}
	}
}

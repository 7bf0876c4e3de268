package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// verify is the judgement of crypto/x509: the chain holds, for each purpose and each host that the leaf names.
func verify(q question) []string {
	leaf, rest := pem.Decode([]byte(q.Chain))
	if leaf == nil {
		return []string{"the chain is not PEM"}
	}
	certificate, err := x509.ParseCertificate(leaf.Bytes)
	if err != nil {
		return []string{err.Error()}
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	if !options.Roots.AppendCertsFromPEM([]byte(q.Roots)) {
		return []string{"the roots are not PEM"}
	}
	options.Intermediates.AppendCertsFromPEM(rest)

	problems := []string{}
	purposes := certificate.ExtKeyUsage
	if len(purposes) == 0 {
		purposes = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, purpose := range purposes {
		options.KeyUsages = []x509.ExtKeyUsage{purpose}
		if _, err := certificate.Verify(options); err != nil {
			problems = append(problems, err.Error())
		}
	}
	for _, name := range certificate.DNSNames {
		host := strings.Replace(name, "*", "any", 1)
		if err := certificate.VerifyHostname(host); err != nil {
			problems = append(problems, fmt.Sprintf("for the host %s: %v", host, err))
		}
	}
	for _, address := range certificate.IPAddresses {
		if err := certificate.VerifyHostname(address.String()); err != nil {
			problems = append(problems, fmt.Sprintf("for the host %s: %v", address, err))
		}
	}
	return problems
}

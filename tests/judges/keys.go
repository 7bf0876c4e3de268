package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"

	"filippo.io/edwards25519"
	"github.com/letsencrypt/boulder/goodkey"
)

// fermatRounds is how far the issuer looks for primes that are close to each other; boulder by itself takes 110 steps.
const fermatRounds = 256

// judgeKeys reads one JSON object a line, whose key is a SubjectPublicKeyInfo in DER, in base64:
//
//	{"name": "any", "key": "MIIB…"}
//
// and writes one for each, in order: what Let's Encrypt's CA, or for Ed25519 its author's library, has against it.
//
//	{"name": "any", "weak": "key exponent must be 65537"}
func judgeKeys(r io.Reader, w io.Writer) error {
	allowed := goodkey.LetsEncryptCPS()
	allowed.ECDSAP521 = true
	policy, err := goodkey.NewPolicy(&goodkey.Config{AllowedKeys: &allowed, FermatRounds: fermatRounds}, nil)
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(bufio.NewReader(r)), json.NewEncoder(w)
	for {
		q := struct {
			Name string `json:"name"`
			Key  []byte `json:"key"`
		}{}
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		v := struct {
			Name string `json:"name"`
			Weak string `json:"weak"`
		}{Name: q.Name}
		if err := judgeKey(policy, q.Key); err != nil {
			v.Weak = err.Error()
		}
		if err := out.Encode(v); err != nil {
			return err
		}
	}
}

func judgeKey(policy goodkey.KeyPolicy, der []byte) error {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return err
	}
	if key, ok := key.(ed25519.PublicKey); ok {
		return judgeEd25519(key)
	}
	return policy.GoodKey(context.Background(), key)
}

// judgeEd25519 refuses what crypto/ed25519 lets pass: small orders, and encodings that are not canonical.
func judgeEd25519(key ed25519.PublicKey) error {
	point, err := new(edwards25519.Point).SetBytes(key)
	if err != nil {
		return err
	}
	if !bytes.Equal(point.Bytes(), key) {
		return errors.New("the encoding is not canonical")
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return errors.New("the point is of small order")
	}
	return nil
}

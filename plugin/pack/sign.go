package pack

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/seed51309289/quiver/plugin/wasm"
)

const (
	maxSignatures = 16 // limit: signatures of a package
	maxClaim      = 64 // bytes of a claim

	sigFormat = 1 // first byte of pq.sig
	sigDomain = "pq-plugin-sig-v1\x00"
)

// A Signature is a statement about a package by the holder of a key (ed25519, RFC 8032). Without a claim its author says "this is mine"; with
// one a validator says what it found, as in "fuel-bounded" or "reproduced".
//
// In pq.sig stand, after a byte 1, for each signature: the public key (32 bytes), the length of the claim (1 byte), the claim, the signature
// (64 bytes). Signed are "pq-plugin-sig-v1\0", the digest, the length of the claim, the claim.
type Signature struct {
	Key   PublicKey
	Claim string
	Sig   [ed25519.SignatureSize]byte
}

// Holds reports whether the key signed the claim about that package.
func (s *Signature) Holds(d Digest) bool {
	return ed25519.Verify(s.Key[:], statement(d, s.Claim), s.Sig[:])
}

// statement is what is signed.
func statement(d Digest, claim string) []byte {
	b := append([]byte(sigDomain), d[:]...)
	return append(append(b, byte(len(claim))), claim...)
}

// Sign returns a copy of the package b with one more signature, which replaces that of the same key and claim. An empty claim is that of an
// author. The error is an [*Error].
func Sign(b []byte, key ed25519.PrivateKey, claim string) ([]byte, error) {
	p, err := Read("", b, 0)
	if err != nil {
		return nil, err
	}
	if claim != "" && !isClaim(claim) {
		return nil, refuse("", "claim", "%q, want up to %d of a-z, 0-9 and \"-._:<=>*\" that begin with a letter", clip(claim), maxClaim)
	}
	s := Signature{Key: PublicKey(key.Public().(ed25519.PublicKey)), Claim: claim}
	copy(s.Sig[:], ed25519.Sign(key, statement(p.Digest, claim)))
	all := slices.DeleteFunc(p.Signatures, s.same)
	all = append(all, s)
	if len(all) > maxSignatures {
		return nil, refuse("", sectionSig, "has %d signatures already, which is the most", maxSignatures)
	}
	return withSignatures(b, all)
}

// Unsign returns a copy of the package b without the signatures of a key, whatever they claim, and how many those were.
func Unsign(b []byte, key PublicKey) ([]byte, int, error) {
	p, err := Read("", b, 0)
	if err != nil {
		return nil, 0, err
	}
	had := len(p.Signatures)
	rest := slices.DeleteFunc(p.Signatures, func(s Signature) bool { return s.Key == key })
	b, err = withSignatures(b, rest)
	return b, had - len(rest), err
}

func withSignatures(b []byte, all []Signature) ([]byte, error) {
	if len(all) == 0 {
		return wasm.WithoutCustom(b, sectionSig)
	}
	section := []byte{sigFormat}
	for i := range all {
		s := &all[i]
		section = append(section, s.Key[:]...)
		section = append(append(section, byte(len(s.Claim))), s.Claim...)
		section = append(section, s.Sig[:]...)
	}
	b, err := wasm.WithCustom(b, sectionSig, section)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxSize {
		return nil, refuse("", sectionSig, "no room: the package would have %d bytes, at most %d are allowed", len(b), MaxSize)
	}
	return b, nil
}

// same reports whether other says what s says.
func (s *Signature) same(other Signature) bool { return s.Key == other.Key && s.Claim == other.Claim }

// readSignatures reads pq.sig; nil is an absent one.
func readSignatures(file string, b []byte) (all []Signature, err error) {
	if b == nil {
		return nil, nil
	}
	if len(b) == 0 || b[0] != sigFormat {
		return nil, refuse(file, sectionSig, "want it to begin with the byte %d: it is of another format", sigFormat)
	}
	for b = b[1:]; len(b) > 0; {
		field := fmt.Sprintf("%s[%d]", sectionSig, len(all))
		if len(all) == maxSignatures {
			return nil, refuse(file, field, "more than %d signatures", maxSignatures)
		}
		var s Signature
		var ok bool
		if s, b, ok = cutSignature(b); !ok {
			return nil, refuse(file, field, "ends too early")
		}
		switch {
		case s.Claim != "" && !isClaim(s.Claim):
			return nil, refuse(file, field, "%q is no claim", clip(s.Claim))
		case slices.ContainsFunc(all, s.same):
			return nil, refuse(file, field, "is there twice")
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, refuse(file, sectionSig, "is empty")
	}
	return all, nil
}

// cutSignature takes one signature off b.
func cutSignature(b []byte) (s Signature, rest []byte, ok bool) {
	const key, sig = ed25519.PublicKeySize, ed25519.SignatureSize
	if len(b) < key+1 {
		return s, nil, false
	}
	end := key + 1 + int(b[key])
	if len(b) < end+sig {
		return s, nil, false
	}
	s.Key = PublicKey(b[:key])
	s.Claim = string(b[key+1 : end])
	s.Sig = [sig]byte(b[end : end+sig])
	return s, b[end+sig:], true
}

// isClaim reports whether s may be claimed: short, in lower case, safe to print.
func isClaim(s string) bool {
	if s == "" || len(s) > maxClaim || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':', c == '<', c == '=', c == '>', c == '*':
		default:
			return false
		}
	}
	return true
}

package policy

import (
	"net/netip"
	"strings"
)

// pinPrefix begins the identity that is a key: the SHA-256 of its public part, in hexadecimal.
const pinPrefix = "sha256:"

// maxIdentity is how long an identity may be; SPIFFE allows IDs of 2048 bytes (SPIFFE-ID §2.3).
const maxIdentity = 2048

const wantIdentity = "sha256:HEX, a host name, an address or spiffe://DOMAIN/PATH, which may end in *"

// parseIdentity reads who the other end must be. "pin", the key that was seen first, is for peers that we call.
func parseIdentity(s string, calling bool) (string, *fault) {
	bad := &fault{word: s, want: wantIdentity}
	if calling {
		bad.want = "pin, " + wantIdentity
	}
	if s == "pin" {
		if !calling {
			bad.hint = "who may call is named by its key: " + pinPrefix + "HEX"
			return "", bad
		}
		return s, nil
	}
	if strings.HasPrefix(s, pinPrefix) {
		return parsePin(s)
	}
	if rest, ok := strings.CutPrefix(s, "spiffe://"); ok {
		domain, path, _ := strings.Cut(rest, "/")
		if _, f := parseName(domain); f != nil || strings.Contains(strings.TrimSuffix(path, "*"), "*") || len(s) > maxIdentity || !plain(path) {
			return "", bad
		}
		return s, nil
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	name, f := parseName(s)
	if f != nil {
		bad.hint = f.hint
		return "", bad
	}
	return name, nil
}

// plain reports whether s has only characters that need no quoting anywhere.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`",\#`, c) >= 0 {
			return false
		}
	}
	return true
}

// parsePin reads the SHA-256 of a public key, with or without its prefix.
func parsePin(s string) (string, *fault) {
	digits := strings.ToLower(strings.TrimPrefix(s, pinPrefix))
	if len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", &fault{word: s, want: pinPrefix + " and 64 hexadecimal digits"}
	}
	return pinPrefix + digits, nil
}

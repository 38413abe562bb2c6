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

// parseIdentity reads who the other end must be. "pin", the key that was seen first, and "ca", who an authority says has the address, are for
// peers that we call; "*", whoever showed a certificate, is for those that call us.
func parseIdentity(s string, calling bool) (string, *fault) {
	bad := &fault{word: s, want: wantIdentity}
	if calling {
		bad.want = "pin, ca, " + wantIdentity
	}
	switch {
	case calling && (s == "pin" || s == "ca"), !calling && s == "*":
		return s, nil
	case s == "pin":
		bad.hint = "who may call is named by its key: " + pinPrefix + "HEX"
		return "", bad
	case hasPinPrefix(s):
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
	label := "" // of a name with a star, "*."
	if strings.HasPrefix(s, "*.") {
		label = "*."
	}
	name, f := parseName(s[len(label):])
	if f != nil || calling && name == "ca" {
		if f != nil {
			bad.hint = f.hint
		}
		return "", bad
	}
	return label + name, nil
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

func hasPinPrefix(s string) bool {
	return len(s) >= len(pinPrefix) && strings.EqualFold(s[:len(pinPrefix)], pinPrefix)
}

// parsePin reads the SHA-256 of a public key, with or without its prefix. Colons between the digits, as tools print them, do not matter.
func parsePin(s string) (string, *fault) {
	digits := s
	if hasPinPrefix(s) {
		digits = s[len(pinPrefix):]
	}
	digits = strings.ToLower(strings.ReplaceAll(digits, ":", ""))
	if len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", &fault{word: s, want: pinPrefix + " and 64 hexadecimal digits"}
	}
	return pinPrefix + digits, nil
}

package pack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Why [Judge] refuses. Each comes inside an [*Error].
var (
	ErrUnsigned   = errors.New("plugin is unsigned")
	ErrUnknownKey = errors.New("plugin is signed by nobody who is trusted")
	ErrSignature  = errors.New("signature does not hold")
	ErrScope      = errors.New("key is not trusted with this id")
	ErrExpired    = errors.New("trust in the key has expired")
	ErrCeiling    = errors.New("plugin wants more than it may be granted")
	ErrUnverified = errors.New("validators did not find what is required")
	ErrPinOnly    = errors.New("permission is for pinned plugins only")
)

// pinOnly are the permissions that a plugin from a peer has only if this very package is pinned: what it hands in is taken for what the peer
// sent. Whatever lets a plugin set things or open paths (set:*, path_op) will be among them.
const pinOnly = hook.MayRecover

// A Grant is what a plugin may do, and why.
type Grant struct {
	Ceiling
	By string // for people: "pinned", "key alice (0011223344556677)"
}

// GrantAll is what a package is granted that the user named by hand, without asking a trust file: all that it declares.
func GrantAll(p *Package) Grant { return Grant{p.Manifest.wants(), "named by hand"} }

func (m *Manifest) wants() Ceiling { return Ceiling{m.Permissions, m.Payload} }

// Judge says whether p may run, and grants what its manifest declares, or refuses as a whole: with a pin, if there is one, else with an author's
// signature that a trusted key made in its scope, under its ceiling and before it expires, and everything that t requires of validators.
// remote is true of a plugin that a peer offered. The error is an [*Error] and matches one of the errors of this package.
func Judge(p *Package, t *Trust, remote bool, now time.Time) (Grant, error) {
	if pin := t.pin(p.Digest); pin != nil {
		if missing := pin.Ceiling.lacks(p.Manifest); missing != "" {
			return Grant{}, p.refuse(ErrCeiling, "permissions", "%s is not among what its pin in the trust file grants: add it there if you mean to", missing)
		}
		return Grant{p.Manifest.wants(), "pinned"}, nil
	}
	by, err := p.author(t, now)
	if err != nil {
		return Grant{}, err
	}
	for i := range t.Require {
		if err := p.required(&t.Require[i], t, now); err != nil {
			return Grant{}, err
		}
	}
	if extra := p.Manifest.Permissions & pinOnly; remote && extra != 0 {
		return Grant{}, p.refuse(ErrPinOnly, "permissions", "%q is not granted to what a peer offers: pin %v in the trust file if you mean to",
			strings.Join(permissionNames(extra), `", "`), p.Digest)
	}
	return Grant{p.Manifest.wants(), by}, nil
}

func (p *Package) refuse(why error, field, rule string, args ...any) *Error {
	e := refuse(p.File, field, rule, args...)
	e.Err = why
	return e
}

func (t *Trust) pin(d Digest) *Pin {
	for i := range t.Pins {
		if t.Pins[i].Digest == d {
			return &t.Pins[i]
		}
	}
	return nil
}

// lacks names what m declares and c does not have; "" is nothing.
func (c Ceiling) lacks(m *Manifest) string {
	missing := permissionNames(m.Permissions &^ c.Permissions)
	if m.Payload && !c.Payload {
		missing = append(missing, `view `+viewPayload)
	}
	if len(missing) == 0 {
		return ""
	}
	return `"` + strings.Join(missing, `", "`) + `"`
}

// author finds an author whom t trusts with p. Of several refusals it tells that of the signature that came furthest.
func (p *Package) author(t *Trust, now time.Time) (by string, err error) {
	var signers []string
	refusal, furthest := (*Error)(nil), -1
	for i := range p.Signatures {
		s := &p.Signatures[i]
		if s.Claim != "" {
			continue
		}
		signers = append(signers, s.Key.ID().String())
		for j := range t.Keys {
			if t.Keys[j].Key != s.Key {
				continue
			}
			e, far := p.signedBy(s, &t.Keys[j], now)
			if e == nil {
				return fmt.Sprintf("key %s (%v)", t.Keys[j].Name, s.Key.ID()), nil
			}
			if far > furthest {
				refusal, furthest = e, far
			}
		}
	}
	switch {
	case refusal != nil:
		return "", refusal
	case len(signers) == 0:
		return "", p.refuse(ErrUnsigned, sectionSig, `is unsigned: have its author sign it, or pin %v in the trust file ("quiver plugin trust")`, p.Digest)
	}
	return "", p.refuse(ErrUnknownKey, sectionSig, `signed by key %s, which is not trusted: "quiver plugin trust add" takes it into the trust file`,
		strings.Join(signers, ", "))
}

// signedBy asks whether a signature of a trusted key suffices, and how many questions it answered.
func (p *Package) signedBy(s *Signature, k *TrustedKey, now time.Time) (refusal *Error, far int) {
	id := s.Key.ID()
	if !s.Holds(p.Digest) {
		return p.refuse(ErrSignature, sectionSig, "the signature of %s (%v) does not hold: the file is not what was signed, get it anew", k.Name, id), 0
	}
	if !slices.ContainsFunc(k.IDs, func(glob string) bool { return matches(glob, p.Manifest.ID) }) {
		return p.refuse(ErrScope, "id", "%s is signed by %s (%v), who is trusted with %s only: widen that in the trust file if you mean to",
			p.Manifest.ID, k.Name, id, strings.Join(k.IDs, ", ")), 1
	}
	if expired(k.Expires, now) {
		return p.refuse(ErrExpired, sectionSig, "trust in %s (%v) ended on %s: renew it in the trust file if you mean to",
			k.Name, id, k.Expires.UTC().Format(time.DateOnly)), 2
	}
	if missing := k.Ceiling.lacks(p.Manifest); missing != "" {
		return p.refuse(ErrCeiling, "permissions", "%s is beyond what %s (%v) is trusted with: add it in the trust file if you mean to", missing, k.Name, id), 3
	}
	return nil, 4
}

func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// required asks whether the validators whom t names found what r demands.
func (p *Package) required(r *Requirement, t *Trust, now time.Time) error {
	var agree []string
	for i := range t.Validators {
		v := &t.Validators[i]
		if !expired(v.Expires, now) && slices.ContainsFunc(p.Signatures, func(s Signature) bool {
			return s.Key == v.Key && s.Claim == r.Claim && s.Holds(p.Digest)
		}) {
			agree = append(agree, v.Name)
		}
	}
	if r.By.Holds(func(name string) bool { return slices.Contains(agree, name) }) {
		return nil
	}
	have := "nobody"
	if len(agree) > 0 {
		have = strings.Join(agree, ", ")
	}
	return p.refuse(ErrUnverified, sectionSig, "the trust file requires %q from %v, got it from %s: ask the others to look at it and sign", r.Claim, r.By, have)
}

package inspect

import (
	"encoding/json"
	"time"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// Facts is what can be said of a package.
type Facts struct {
	File       string          `json:"file"`
	Digest     string          `json:"digest"` // the identity
	Size       int             `json:"size"`   // bytes of the file
	Packed     int             `json:"packed"` // bytes in which it travels
	Manifest   json.RawMessage `json:"manifest"`
	Settings   []Setting       `json:"settings,omitempty"`
	Limits     Limits          `json:"limits"`
	Source     *Source         `json:"source,omitempty"`
	Signatures []Signature     `json:"signatures"`
	Verdicts   []Verdict       `json:"verdicts"`
	Code       *wasm.Report    `json:"code"`
	// Host is what became of it when a host loaded and attached it; nil = not tried. It is for the caller to set.
	Host *Host `json:"host,omitempty"`

	manifest *pack.Manifest
}

// Setting is a setting as people type it.
type Setting struct {
	Name        string `json:"name"`
	Values      string `json:"values"` // "1 to 64", "off or on", "xor, rs or rlc"
	Default     string `json:"default"`
	Unit        string `json:"unit,omitempty"`
	Description string `json:"description,omitempty"`
}

// Limits are the bounds that the host holds the plugin to: its own, or the host's where it names none.
type Limits struct {
	MemoryPages   int `json:"memory_pages"` // of 64 KiB
	Fuel          int `json:"fuel"`         // of one call
	Timers        int `json:"timers"`
	Reservations  int `json:"reservations"`
	ReservedBytes int `json:"reserved_bytes"`
	Emit          int `json:"emit_per_second"`
	LogBytes      int `json:"log_bytes_per_second"`
}

// Host is what a host makes of a plugin.
type Host struct {
	Refused string `json:"refused,omitempty"` // why it will not run it
	Fuel    uint64 `json:"attach_fuel"`       // that attaching takes, with the default settings
	Memory  int    `json:"memory"`            // bytes that it has then
}

// Source is where the package says it was built from.
type Source struct {
	URL       string `json:"url,omitempty"`
	Commit    string `json:"commit,omitempty"`
	Toolchain string `json:"toolchain,omitempty"`
	Build     string `json:"build,omitempty"`
}

// Signature is one signature of the package.
type Signature struct {
	Key   string `json:"key"`
	KeyID string `json:"key_id"`
	Claim string `json:"claim,omitempty"` // of a validator; an author claims nothing
	Holds bool   `json:"holds"`
	Name  string `json:"name,omitempty"` // under which the trust file knows the key
}

// Verdict is what the trust file makes of the package in one situation.
type Verdict struct {
	When    string `json:"when"` // "asked here", "offered by a peer"
	Runs    bool   `json:"runs"`
	Because string `json:"because"` // who vouches, or the sentence of the refusal
}

// Of collects the facts of a package, with what trust makes of it at now. The error is a [*wasm.Error]: the code is none that a host would load.
func Of(p *pack.Package, trust *pack.Trust, now time.Time) (*Facts, error) {
	code, err := report(p)
	if err != nil {
		return nil, err
	}
	f := &Facts{
		File: p.File, Digest: p.Digest.String(), Size: len(p.Raw), Packed: len(pack.Pack(p.Raw)), Manifest: p.Manifest.Canonical(),
		Limits: limitsOf(p.Manifest), Signatures: []Signature{}, Code: code, manifest: p.Manifest,
	}
	if s := p.Source; s != nil {
		f.Source = &Source{s.URL, s.Commit, s.Toolchain, s.Build}
	}
	for i := range p.Manifest.Config {
		f.Settings = append(f.Settings, settingOf(&p.Manifest.Config[i]))
	}
	for i := range p.Signatures {
		s := &p.Signatures[i]
		f.Signatures = append(f.Signatures, Signature{s.Key.String(), s.Key.ID().String(), s.Claim, s.Holds(p.Digest), knownAs(trust, s.Key)})
	}
	for _, remote := range []bool{false, true} {
		f.Verdicts = append(f.Verdicts, verdict(p, trust, remote, now))
	}
	return f, nil
}

// report measures the code as the host does.
func report(p *pack.Package) (*wasm.Report, error) {
	m, err := wasm.Parse(p.Raw)
	if err != nil {
		return nil, err
	}
	_, r, err := wasm.Meter(m, wasm.Rules{Pages: uint32(limitsOf(p.Manifest).MemoryPages)}, wasm.DefaultCosts())
	return r, err
}

func verdict(p *pack.Package, trust *pack.Trust, remote bool, now time.Time) Verdict {
	v := Verdict{When: "asked here"}
	if remote {
		v.When = "offered by a peer"
	}
	grant, err := pack.Judge(p, trust, remote, now)
	if err != nil {
		v.Because = err.Error()
		return v
	}
	v.Runs, v.Because = true, grant.By
	return v
}

// knownAs returns the name that the trust file has for a key, "" if none.
func knownAs(trust *pack.Trust, key pack.PublicKey) string {
	for i := range trust.Keys {
		if trust.Keys[i].Key == key {
			return trust.Keys[i].Name
		}
	}
	for i := range trust.Validators {
		if trust.Validators[i].Key == key {
			return "validator " + trust.Validators[i].Name
		}
	}
	return ""
}

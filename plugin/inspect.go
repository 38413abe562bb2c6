package plugin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// Inspection is what can be said of a plugin's file, for people and for tools: its fields are made for JSON.
type Inspection struct {
	File       string               `json:"file"`
	Digest     string               `json:"digest"`
	Size       int                  `json:"size"`   // bytes
	Packed     int                  `json:"packed"` // bytes as it travels
	Manifest   json.RawMessage      `json:"manifest"`
	Source     *pack.Source         `json:"source,omitempty"`
	Hooks      []InspectedHook      `json:"hooks"`
	Imports    []InspectedImport    `json:"imports"`
	Limits     InspectedLimits      `json:"limits"`
	Signatures []InspectedSignature `json:"signatures"`
	Code       *wasm.Report         `json:"code"`
	Attach     *InspectedAttach     `json:"attach,omitempty"` // nil: it was not tried
	Refused    string               `json:"refused,omitempty"`
}

// InspectedHook is a place where the plugin sits.
type InspectedHook struct {
	Op     string `json:"op"`
	Number int    `json:"number"`
	Anchor string `json:"anchor"`
	Order  int    `json:"order,omitempty"`
	Chain  bool   `json:"chain,omitempty"`
}

// InspectedImport is something that its code may ask of the host.
type InspectedImport struct {
	Name       string `json:"name"`
	Permission string `json:"permission"` // that it needs
}

// InspectedLimits are the bounds under which it runs.
type InspectedLimits struct {
	Pages       int   `json:"pages"` // of 64 KiB
	Fuel        int64 `json:"fuel"`  // of a call
	AttachFuel  int64 `json:"attach_fuel"`
	PooledState bool  `json:"pooled"` // instances serve one connection after the other
}

// InspectedSignature is one signature.
type InspectedSignature struct {
	Key   string `json:"key"`
	Claim string `json:"claim,omitempty"` // of a validator; empty = of an author
	Holds bool   `json:"holds"`
}

// InspectedAttach is what attaching it took, with the settings that are the default.
type InspectedAttach struct {
	Fuel   uint64 `json:"fuel"`
	Memory int    `json:"memory"` // bytes
}

// Inspect reads a plugin and tries it, as [Runtime.Load] does. A plugin that would be refused is told of as far as it can be read, with the
// refusal; the error is for what is no package at all.
func (r *Runtime) Inspect(ctx context.Context, name string, file []byte, p Policy) (*Inspection, error) {
	k, err := pack.Read(name, file, p.MaxSize)
	if err != nil {
		return nil, err
	}
	in := &Inspection{
		File: name, Digest: k.Digest.String(), Size: len(file), Packed: len(pack.Pack(file)), Manifest: k.Manifest.Canonical(), Source: k.Source,
		Hooks: []InspectedHook{}, Imports: []InspectedImport{}, Signatures: []InspectedSignature{},
	}
	for _, h := range k.Manifest.Hooks {
		in.Hooks = append(in.Hooks, InspectedHook{h.Op.String(), int(h.Op), h.Anchor.String(), h.Order, h.Chain})
	}
	for i := range k.Signatures {
		s := &k.Signatures[i]
		in.Signatures = append(in.Signatures, InspectedSignature{s.Key.ID().String(), s.Claim, s.Holds(k.Digest)})
	}
	m, err := r.LoadPackage(ctx, k, p)
	if err != nil {
		in.Refused = err.Error()
		in.code(k)
		return in, nil
	}
	defer m.Close()
	in.Code = m.Report()
	in.imports()
	in.Limits = InspectedLimits{pages(k.Manifest), m.fuel(), m.attachFuel(), m.resettable}
	in.Attach, err = m.tryAttach()
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", m.title(), err)
	}
	return in, nil
}

// code reports on code that was refused, if it can be read.
func (in *Inspection) code(k *pack.Package) {
	var err error
	if in.Code, err = reportOn(k); err == nil {
		in.imports()
	}
	in.Limits.Pages = pages(k.Manifest)
}

func (in *Inspection) imports() {
	for _, im := range in.Code.Imports {
		i := InspectedImport{Name: im.Name}
		if f := findImport(im.Name); f != nil {
			i.Permission = f.needs.String()
		}
		in.Imports = append(in.Imports, i)
	}
}

func pages(m *pack.Manifest) int { return orDefault(m.Limits.MemoryPages, wasm.DefaultPages) }

// tryAttach attaches the plugin to nothing and looks at what that took.
func (m *Module) tryAttach() (*InspectedAttach, error) {
	x, err := m.newExtension(purse{})
	if err != nil {
		return nil, err
	}
	config, err := m.manifest.Configure(nil)
	if err != nil {
		return nil, err
	}
	if err := x.Attach(&trialConn{}, &hook.AttachState{Now: 1, Server: !m.manifest.Roles.Has(false), Config: config}); err != nil {
		return nil, err
	}
	u := x.Usage()
	x.Detach(hook.DetachAsked)
	return &InspectedAttach{u.Fuel, u.Memory}, nil
}

// Inspect is [Runtime.Inspect] with the runtime that all of a process shares.
func Inspect(ctx context.Context, name string, file []byte, p Policy) (*Inspection, error) {
	r, err := defaultRuntime()
	if err != nil {
		return nil, err
	}
	return r.Inspect(ctx, name, file, p)
}

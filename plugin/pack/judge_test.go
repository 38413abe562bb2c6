package pack_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// world is a plugin, signed by alice, and a user who trusts her.
type world struct {
	file  []byte
	trust *pack.Trust
	now   time.Time
}

// newWorld is a world in which the plugin of that manifest may run here, and offered by a peer as long as nothing is for pinned plugins only.
func newWorld(t *testing.T, text string) *world {
	return &world{
		file: sign(t, sealed(t, manifest(t, text)), key("alice"), ""),
		trust: &pack.Trust{Keys: []pack.TrustedKey{{
			Name: "alice", Key: public(key("alice")), IDs: []string{"org.example.*"},
			Ceiling: pack.Ceiling{Permissions: all, Payload: true}, Expires: now.Add(time.Hour),
		}}},
		now: now,
	}
}

func (w *world) judge(t *testing.T, remote bool) (pack.Grant, error) {
	return pack.Judge(read(t, w.file), w.trust, remote, w.now)
}

func TestAPluginOfATrustedAuthorIsGrantedWhatItDeclares(t *testing.T) {
	w := newWorld(t, fecManifest)
	got, err := w.judge(t, false)
	want := pack.Grant{Ceiling: pack.Ceiling{
		Permissions: hook.MayReserve | hook.MayTimer | hook.MayCount | hook.MayEvent | hook.MayRecover, Payload: true,
	}, By: "key alice (dc932c37156806ca)"}
	if err != nil || got != want {
		t.Errorf("granted %+v, %v, want %+v", got, err, want)
	}
	w = newWorld(t, plainManifest)
	if got, err := w.judge(t, true); err != nil || got.Ceiling != (pack.Ceiling{}) {
		t.Errorf("granted %+v, %v, want nothing beyond running", got, err)
	}
}

// TestDefect7NobodyRunsWhatNobodyVouchesFor: each refusal names what is wrong and the way out.
func TestDefect7NobodyRunsWhatNobodyVouchesFor(t *testing.T) {
	pinned := fmt.Sprint(read(t, newWorld(t, fecManifest).file).Digest)
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *world)
		remote bool
		kind   error
		want   string
	}{
		{"unsigned", func(t *testing.T, w *world) { w.file = sealed(t, manifest(t, fecManifest)) }, false, pack.ErrUnsigned,
			`fec.wasm: pq.sig: is unsigned: have its author sign it, or pin ` + pinned + ` in the trust file ("quiver plugin trust")`},
		{"only noted by a validator", func(t *testing.T, w *world) {
			w.file = sign(t, sealed(t, manifest(t, fecManifest)), key("alice"), "reproduced")
		}, false, pack.ErrUnsigned,
			`fec.wasm: pq.sig: is unsigned: have its author sign it, or pin ` + pinned + ` in the trust file ("quiver plugin trust")`},
		{"unknown key", func(t *testing.T, w *world) { w.trust.Keys[0].Key = public(key("bob")) }, false, pack.ErrUnknownKey,
			`fec.wasm: pq.sig: signed by key dc932c37156806ca, which is not trusted: "quiver plugin trust add" takes it into the trust file`},
		{"nobody trusted", func(t *testing.T, w *world) { w.trust = &pack.Trust{} }, false, pack.ErrUnknownKey,
			`fec.wasm: pq.sig: signed by key dc932c37156806ca, which is not trusted: "quiver plugin trust add" takes it into the trust file`},
		{"changed after signing", func(t *testing.T, w *world) { w.file[len(w.file)-1] ^= 1 }, false, pack.ErrSignature,
			`fec.wasm: pq.sig: the signature of alice (dc932c37156806ca) does not hold: the file is not what was signed, get it anew`},
		{"out of scope", func(t *testing.T, w *world) { w.trust.Keys[0].IDs = []string{"org.example.f", "net.*"} }, false, pack.ErrScope,
			`fec.wasm: id: org.example.fec is signed by alice (dc932c37156806ca), who is trusted with org.example.f, net.* only: widen that in the trust file if you mean to`},
		{"expired this instant", func(t *testing.T, w *world) { w.now = w.trust.Keys[0].Expires }, false, pack.ErrExpired,
			`fec.wasm: pq.sig: trust in alice (dc932c37156806ca) ended on 2026-05-01: renew it in the trust file if you mean to`},
		{"beyond the ceiling", func(t *testing.T, w *world) { w.trust.Keys[0].Ceiling.Permissions &^= hook.MayTimer | hook.MayReserve }, false, pack.ErrCeiling,
			`fec.wasm: permissions: "reserve", "timer" is beyond what alice (dc932c37156806ca) is trusted with: add it in the trust file if you mean to`},
		{"view beyond the ceiling", func(t *testing.T, w *world) { w.trust.Keys[0].Ceiling.Payload = false }, false, pack.ErrCeiling,
			`fec.wasm: permissions: "view payload" is beyond what alice (dc932c37156806ca) is trusted with: add it in the trust file if you mean to`},
		{"for pinned plugins only", func(t *testing.T, w *world) {}, true, pack.ErrPinOnly,
			`fec.wasm: permissions: "recovered" is not granted to what a peer offers: pin ` + pinned + ` in the trust file if you mean to`},
		{"beyond the pin", func(t *testing.T, w *world) {
			w.trust.Pins = []pack.Pin{{Digest: read(t, w.file).Digest, Ceiling: pack.Ceiling{Permissions: all &^ hook.MayRecover, Payload: true}}}
		}, false, pack.ErrCeiling,
			`fec.wasm: permissions: "recovered" is not among what its pin in the trust file grants: add it there if you mean to`},
		{"not verified", func(t *testing.T, w *world) { w.require("reproduced", "v1 & (v2 | v3)") }, false, pack.ErrUnverified,
			`fec.wasm: pq.sig: the trust file requires "reproduced" from v1 & (v2 | v3), got it from nobody: ask the others to look at it and sign`},
		{"verified by too few", func(t *testing.T, w *world) {
			w.require("reproduced", "2 of {v1, v2, v3}")
			w.file = sign(t, w.file, key("v3"), "reproduced")
		}, false, pack.ErrUnverified,
			`fec.wasm: pq.sig: the trust file requires "reproduced" from 2 of {v1, v2, v3}, got it from v3: ask the others to look at it and sign`},
		{"verified of something else", func(t *testing.T, w *world) {
			w.require("reproduced", "v1")
			w.file = sign(t, sign(t, w.file, key("v1"), "fuel-bounded"), key("v1"), "")
		}, false, pack.ErrUnverified,
			`fec.wasm: pq.sig: the trust file requires "reproduced" from v1, got it from nobody: ask the others to look at it and sign`},
		{"verified by one whose time is over", func(t *testing.T, w *world) {
			w.require("reproduced", "v1")
			w.trust.Validators[0].Expires = now
			w.file = sign(t, w.file, key("v1"), "reproduced")
		}, false, pack.ErrUnverified,
			`fec.wasm: pq.sig: the trust file requires "reproduced" from v1, got it from nobody: ask the others to look at it and sign`},
		{"a note that does not hold", func(t *testing.T, w *world) {
			w.require("reproduced", "v1")
			w.file = sign(t, w.file, key("v1"), "reproduced")
			w.file[len(w.file)-1] ^= 1
		}, false, pack.ErrUnverified,
			`fec.wasm: pq.sig: the trust file requires "reproduced" from v1, got it from nobody: ask the others to look at it and sign`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, fecManifest)
			tc.change(t, w)
			got, err := w.judge(t, tc.remote)
			wantRefusal(t, err, tc.want)
			if !errors.Is(err, tc.kind) {
				t.Errorf("it is no %v", tc.kind)
			}
			if got != (pack.Grant{}) {
				t.Errorf("a refused plugin is granted %+v", got)
			}
		})
	}
}

// require adds validators v1 to v3 and one demand.
func (w *world) require(claim, formula string) {
	for _, name := range []string{"v1", "v2", "v3"} {
		w.trust.Validators = append(w.trust.Validators, pack.Validator{Name: name, Key: public(key(name))})
	}
	f, err := pack.ParseFormula(formula)
	if err != nil {
		panic(err)
	}
	w.trust.Require = append(w.trust.Require, pack.Requirement{Claim: claim, By: f})
}

func TestValidatorsOpenTheWay(t *testing.T) {
	w := newWorld(t, fecManifest)
	w.require("reproduced", "v1 & (v2 | v3)")
	w.file = sign(t, sign(t, w.file, key("v1"), "reproduced"), key("v3"), "reproduced")
	if _, err := w.judge(t, false); err != nil {
		t.Error(err)
	}
}

func TestAPinnedPluginNeedsNobodyElse(t *testing.T) {
	w := newWorld(t, fecManifest)
	w.require("reproduced", "v1")
	w.file = sealed(t, manifest(t, fecManifest)) // unsigned
	w.trust.Pins = []pack.Pin{{Digest: pack.Digest{1}}, {Digest: read(t, w.file).Digest, Ceiling: pack.Ceiling{Permissions: all, Payload: true}}}
	got, err := w.judge(t, true)
	if err != nil || got.Permissions&hook.MayRecover == 0 || got.Permissions&hook.MayLog != 0 || !got.Payload || got.By != "pinned" {
		t.Errorf("granted %+v, %v, want what it declares", got, err)
	}
}

func TestOneGoodSignatureAmongOthersSuffices(t *testing.T) {
	w := newWorld(t, fecManifest)
	w.file = sign(t, sign(t, sealed(t, manifest(t, fecManifest)), key("mallory"), ""), key("bob"), "")
	w.file = sign(t, w.file, key("alice"), "")
	w.trust.Keys = append([]pack.TrustedKey{{Name: "bob", Key: public(key("bob")), IDs: []string{"org.bob.*"}}}, w.trust.Keys...)
	if got, err := w.judge(t, false); err != nil || got.By != "key alice (dc932c37156806ca)" {
		t.Errorf("granted %+v, %v", got, err)
	}
	w.trust.Keys[1].Expires = now
	_, err := w.judge(t, false)
	if !errors.Is(err, pack.ErrExpired) {
		t.Errorf("%v, want the refusal that came furthest: the key has expired", err)
	}
}

func TestOneKeyMayHaveSeveralScopes(t *testing.T) {
	w := newWorld(t, fecManifest)
	narrow := w.trust.Keys[0]
	narrow.IDs, narrow.Ceiling = []string{"*"}, pack.Ceiling{}
	w.trust.Keys = append([]pack.TrustedKey{narrow}, w.trust.Keys...)
	if _, err := w.judge(t, false); err != nil {
		t.Error(err)
	}
}

func TestAGlobCoversWholeLabels(t *testing.T) {
	for _, tc := range []struct {
		glob string
		want bool
	}{
		{"*", true}, {"org.*", true}, {"org.example.*", true}, {"org.example.fec", true},
		{"org.example", false}, {"org.example.fec.*", false}, {"org.exam.*", false}, {"example.*", false}, {"net.*", false},
	} {
		w := newWorld(t, fecManifest)
		w.trust.Keys[0].IDs = []string{tc.glob}
		if _, err := w.judge(t, false); (err == nil) != tc.want {
			t.Errorf("%s covers org.example.fec: %v, want %v", tc.glob, err == nil, tc.want)
		}
	}
}

func TestWhatTheUserNamesByHandIsGrantedAll(t *testing.T) {
	g := pack.GrantAll(read(t, sealed(t, manifest(t, fecManifest))))
	if g.Permissions != manifest(t, fecManifest).Permissions || !g.Payload {
		t.Errorf("granted %+v", g)
	}
}

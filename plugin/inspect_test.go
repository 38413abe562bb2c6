package plugin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
)

func TestAnInspectionTellsWhatAPluginIs(t *testing.T) {
	in, err := runtime(t).Inspect(context.Background(), "asker.wasm", build(t, "asker", asker), plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Imports) != 15 || in.Imports[0].Permission != "reserve" || len(in.Hooks) != 3 || in.Hooks[0].Op != "timer" || in.Refused != "" {
		t.Errorf("%+v", in)
	}
	if f, ok := in.Code.Function("pq_call"); !ok || f.Entry == 0 || in.Attach == nil || in.Attach.Fuel == 0 || in.Limits.Fuel != plugin.DefaultFuel {
		t.Errorf("costs %+v, attach %+v, limits %+v", f, in.Attach, in.Limits)
	}
	b, err := json.Marshal(in)
	if err != nil || !strings.Contains(string(b), `"op":"frame_write"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestAnInspectionOfARefusedPluginSaysWhy(t *testing.T) {
	in, err := runtime(t).Inspect(context.Background(), "bad.wasm", build(t, "bad", `(module (import "pq" "log" (func (param i32 i32) (result i32))) PRELUDE `+body), plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(in.Refused, "bad.wasm: permissions: imports log") || in.Code == nil || len(in.Imports) != 1 {
		t.Errorf("%+v", in)
	}
	if _, err := runtime(t).Inspect(context.Background(), "none.wasm", []byte("\x00asm\x01\x00\x00\x00"), plugin.Policy{}); err == nil {
		t.Error("a module without a manifest was inspected")
	}
}

func TestStatsCountWhatConnectionsDid(t *testing.T) {
	r := runtime(t)
	m := load(t, r, build(t, "nop", nop), plugin.Policy{})
	for range 2 {
		x, _ := attached(t, m)
		sample(x)
		x.Detach(hook.DetachClosed)
	}
	all := r.Stats()
	if len(all) != 1 || all[0].ID != "org.example.test" || all[0].Connections != 2 || all[0].Calls != 6 || all[0].Idle != 1 || all[0].Users != 1 {
		t.Errorf("%+v, want 2 connections with attach, sample and detach each", all)
	}
}

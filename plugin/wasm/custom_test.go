package wasm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// twoCustoms is a module with a type section between two custom sections; the size of the second is written with padding, as linkers do.
var twoCustoms = join("\x00asm\x01\x00\x00\x00",
	"\x00\x05\x01abcd",
	"\x01\x04\x01\x60\x00\x00",
	"\x00\x84\x80\x00\x02xyz")

func join(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func TestCustomSectionsAreFoundByName(t *testing.T) {
	for name, want := range map[string]string{"a": "bcd", "xy": "z"} {
		got, ok, err := wasm.Custom(twoCustoms, name)
		if err != nil || !ok || string(got) != want {
			t.Errorf("Custom(%q) = %q, %v, %v, want %q", name, got, ok, err, want)
		}
	}
	if got, ok, err := wasm.Custom(twoCustoms, "b"); ok || err != nil {
		t.Errorf("Custom of a name that is not there = %q, %v, %v", got, ok, err)
	}
	list, err := wasm.Customs(twoCustoms)
	if err != nil || len(list) != 2 || list[0].Name != "a" || list[0].Offset != 8 || list[1].Name != "xy" {
		t.Errorf("Customs = %+v, %v", list, err)
	}
}

func TestReplacingACustomSectionLeavesAllOtherBytes(t *testing.T) {
	got, err := wasm.WithCustom(twoCustoms, "a", []byte("longer than it was"))
	want := join("\x00asm\x01\x00\x00\x00", "\x00\x14\x01alonger than it was", "\x01\x04\x01\x60\x00\x00", "\x00\x84\x80\x00\x02xyz")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got  %x, %v\nwant %x", got, err, want)
	}
}

func TestANewCustomSectionGoesToTheEndAndLeavesWithoutATrace(t *testing.T) {
	with, err := wasm.WithCustom(twoCustoms, "pq.sig", bytes.Repeat([]byte{7}, 200))
	if err != nil || !bytes.HasPrefix(with, twoCustoms) {
		t.Fatalf("WithCustom = %x, %v: the module is no longer its start", with, err)
	}
	if got, ok, err := wasm.Custom(with, "pq.sig"); err != nil || !ok || len(got) != 200 {
		t.Errorf("Custom = %x, %v, %v, want 200 bytes", got, ok, err)
	}
	without, err := wasm.WithoutCustom(with, "pq.proof", "pq.sig")
	if err != nil || !bytes.Equal(without, twoCustoms) {
		t.Errorf("WithoutCustom = %x, %v\nwant %x", without, err, twoCustoms)
	}
}

func TestRemovingCustomSectionsKeepsPaddedSizes(t *testing.T) {
	got, err := wasm.WithoutCustom(twoCustoms, "a")
	want := join("\x00asm\x01\x00\x00\x00", "\x01\x04\x01\x60\x00\x00", "\x00\x84\x80\x00\x02xyz")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got  %x, %v\nwant %x", got, err, want)
	}
}

func TestTwoCustomSectionsOfOneNameAreRefused(t *testing.T) {
	b := append(bytes.Clone(twoCustoms), "\x00\x02\x01a"...)
	if _, _, err := wasm.Custom(b, "a"); !errors.Is(err, wasm.ErrMalformed) {
		t.Errorf("Custom = %v, want ErrMalformed", err)
	}
	if _, err := wasm.WithCustom(b, "a", nil); !errors.Is(err, wasm.ErrMalformed) {
		t.Errorf("WithCustom = %v, want ErrMalformed", err)
	}
	if got, err := wasm.WithoutCustom(b, "a"); err != nil || bytes.Contains(got, []byte("\x01a")) {
		t.Errorf("WithoutCustom = %x, %v, want both gone", got, err)
	}
}

func TestCustomSectionsOfWhatIsNoModule(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"another version":    []byte("\x00asm\x02\x00\x00\x00"),
		"a section cut":      twoCustoms[:len(twoCustoms)-1],
		"a name cut":         join("\x00asm\x01\x00\x00\x00", "\x00\x02\x05a"),
		"a name not UTF-8":   join("\x00asm\x01\x00\x00\x00", "\x00\x02\x01\xff"),
		"an unknown section": join("\x00asm\x01\x00\x00\x00", "\x0d\x00"),
	} {
		_, _, err := wasm.Custom(b, "a")
		var e *wasm.Error
		if !errors.As(err, &e) || !errors.Is(err, wasm.ErrMalformed) || errors.Is(err, wasm.ErrRefused) {
			t.Errorf("%s: %v, want an *Error that is ErrMalformed", name, err)
		}
	}
}

func TestNoCustomSectionIsAddedThatCouldNotBeRead(t *testing.T) {
	full := mod(strings.Repeat("\x00\x02\x01a", wasm.MaxSections-1))
	full, err := wasm.WithCustom(full, "b", nil)
	if err != nil {
		t.Fatalf("the last of %d sections: %v", wasm.MaxSections, err)
	}
	if _, err := wasm.WithCustom(full, "b", []byte("new")); err != nil {
		t.Errorf("replacing one of %d sections: %v", wasm.MaxSections, err)
	}
	if _, err := wasm.WithCustom(full, "c", nil); !errors.Is(err, wasm.ErrMalformed) {
		t.Errorf("adding to %d sections: %v, want ErrMalformed", wasm.MaxSections, err)
	}
}

package wat_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/seed51309289/quiver/plugin/wat"
)

// FuzzAssemble asks that no source makes Assemble panic, that every refusal has
// a place in the source, and that a name section is all that NoNames leaves out.
// A binary whose sections the engine cannot even read is a mistake of ours; one
// that is not well typed is the author's.
func FuzzAssemble(f *testing.F) {
	for _, path := range sources(f) {
		if src := read(f, path); len(src) < 4096 {
			f.Add(src)
		}
	}
	for _, c := range readErrorCases(f) {
		f.Add([]byte(c.src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		b, err := wat.Assemble("fuzz.wat", src)
		if err != nil {
			checkErrors(t, err, src)
			return
		}
		bare, err := wat.Options{NoNames: true}.Assemble("fuzz.wat", src)
		if err != nil || !bytes.HasPrefix(b, bare) {
			t.Errorf("with names it is not what it is without, and then names: %v", err)
		}
	})
}

func checkErrors(t *testing.T, err error, src []byte) {
	var list *wat.Errors
	if !errors.As(err, &list) || len(list.List) == 0 || len(list.List) > wat.MaxErrors {
		t.Fatalf("%T with an impossible number of errors", err)
	}
	lines := 1 + bytes.Count(src, []byte("\n"))
	for i, e := range list.List {
		if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Problem == "" {
			t.Errorf("no place or problem: %+v", e)
		}
		if i > 0 && e.Line < list.List[i-1].Line {
			t.Errorf("out of order: %v", err)
		}
	}
}

// TestEveryPrefixAndEveryLostByteIsRefusedOrWhole cuts and damages sources as an
// editor's user does: nothing panics, and what assembles is readable.
func TestEveryPrefixAndEveryLostByteIsRefusedOrWhole(t *testing.T) {
	r := engine(t)
	for _, path := range []string{"testdata/control.wat", "testdata/bare.wat", "testdata/fields.wat"} {
		src := read(t, path)
		for at := range src {
			for _, damaged := range [][]byte{src[:at], bytes.Join([][]byte{src[:at], src[at+1:]}, nil)} {
				b, err := wat.Assemble(path, damaged)
				if err != nil {
					checkErrors(t, err, damaged)
					continue
				}
				if m, err := r.CompileModule(context.Background(), b); err == nil {
					m.Close(context.Background())
				} else if unreadable(err) {
					t.Errorf("%s without byte %d: %v", path, at, err)
				}
			}
		}
	}
}

// unreadable reports whether an engine could not read a binary, as opposed to
// finding it badly typed.
func unreadable(err error) bool {
	for _, sign := range []string{"section size", "EOF", "invalid section", "redundant"} {
		if bytes.Contains([]byte(err.Error()), []byte(sign)) {
			return true
		}
	}
	return false
}

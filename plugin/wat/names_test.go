package wat_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/plugin/wat"
)

const named = `(module $half
  (type $pair (func (param i32 i32)))
  (import "pq" "log" (func $log (param $at i32) (param $length i32)))
  (func)
  (func $grow (export "g") (param $bytes i64) (param i32) (local i32) (local $new i64))
  (table $handlers 1 funcref) (memory $m 1) (global i32 (i32.const 0)) (global $window i64 (i64.const 1))
  (elem $e func) (data $d "x"))`

// uvarint cuts a number off b.
func uvarint(b *[]byte) int {
	n, size := binary.Uvarint(*b)
	*b = (*b)[size:]
	return int(n)
}

func text(b *[]byte) string {
	n := uvarint(b)
	s := string((*b)[:n])
	*b = (*b)[n:]
	return s
}

func nameMap(b *[]byte) string {
	var list []string
	for range uvarint(b) {
		list = append(list, fmt.Sprintf("%d=%s", uvarint(b), text(b)))
	}
	return strings.Join(list, " ")
}

// names lists the subsections of the name section at the end of a module.
func names(b []byte) (list []string) {
	_, b, _ = bytes.Cut(b, []byte("\x04name"))
	for len(b) > 0 {
		id := b[0]
		b = b[1:]
		size := uvarint(&b)
		part := b[:size]
		b = b[size:]
		switch id {
		case 0:
			list = append(list, "0: "+text(&part))
		case 2:
			for range uvarint(&part) {
				list = append(list, fmt.Sprintf("2: of %d: %s", uvarint(&part), nameMap(&part)))
			}
		default:
			list = append(list, fmt.Sprintf("%d: %s", id, nameMap(&part)))
		}
	}
	return list
}

func TestTheNameSectionHasWhatTheSourceNames(t *testing.T) {
	b, err := wat.Assemble("named.wat", []byte(named))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0: half", "1: 0=log 2=grow", "2: of 0: 0=at 1=length", "2: of 2: 0=bytes 3=new", "4: 0=pair",
		"5: 0=handlers", "6: 0=m", "7: 1=window", "8: 0=e", "9: 0=d",
	}
	if got := names(b); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	bare, err := wat.Options{NoNames: true}.Assemble("named.wat", []byte(named))
	if err != nil || names(bare) != nil || !bytes.HasPrefix(b, bare) {
		t.Errorf("without names there are %q, %v", names(bare), err)
	}
}

func TestTheEngineKnowsFunctionsByName(t *testing.T) {
	b, err := wat.Assemble("named.wat", []byte(named))
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine(t).CompileModule(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.ExportedFunctions()["g"].DebugName(); got != "half.grow" {
		t.Errorf("the engine calls it %q, want half.grow", got)
	}
}

func TestNamesAreThoseOfTheReferenceTool(t *testing.T) {
	assembler, dump := need.Tool(t, "wat2wasm"), need.Tool(t, "wasm-objdump")
	for _, path := range sources(t) {
		b, err := wat.Assemble(path, read(t, path))
		if err != nil {
			t.Error(err)
			continue
		}
		dir := t.TempDir()
		ours, theirs := filepath.Join(dir, "a", "m.wasm"), filepath.Join(dir, "b", "m.wasm")
		for _, file := range []string{ours, theirs} {
			if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(ours, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command(assembler, "--debug-names", path, "-o", theirs).CombinedOutput(); err != nil {
			t.Fatalf("wat2wasm: %v\n%s", err, said)
		}
		if got, want := dumped(dump, ours), dumped(dump, theirs); got != want {
			t.Errorf("%s: %s\nwant %s", path, got, want)
		}
	}
}

// dumped returns the names in a module as wasm-objdump lists them; a section
// without any, which wat2wasm writes too, is the same as none.
func dumped(tool, path string) string {
	out, _ := exec.Command(tool, "-x", "-j", "name", path).CombinedOutput()
	var list []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, " - ") && !strings.HasPrefix(line, " - name:") {
			list = append(list, line)
		}
	}
	return strings.Join(list, "")
}

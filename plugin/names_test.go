package plugin_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// named puts a section of names into a package, which says that functions have so many names, and gives those that follow.
func named(t *testing.T, file []byte, announced int, names string) []byte {
	t.Helper()
	content := append(binary.AppendUvarint(nil, uint64(announced)), names...)
	section := append(binary.AppendUvarint([]byte{1}, uint64(len(content))), content...)
	b, err := wasm.WithCustom(file, "name", section)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNamesThatAreAnnouncedCostNoMemory: the engine makes room for all of them before it reads one, so it never sees them. Four billion would
// be 96 GiB; these are fewer lest the test do what it is about.
func TestNamesThatAreAnnouncedCostNoMemory(t *testing.T) {
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		attached(t, load(t, r, named(t, build(t, "nop", nop), 1<<16, ""), plugin.Policy{}))
	})
}

// TestNamesOfAGuestMakeNoLinesOfTheirOwn: neither those of its section of names nor those of its exports stand in an error as they are.
func TestNamesOfAGuestMakeNoLinesOfTheirOwn(t *testing.T) {
	const evil = "\x1b[2J\nall is well"
	text := strings.Replace(acting("", "(call $stop)"), "(module", `(module (func $stop (export "\1b[2J\0aall is well") unreachable)`, 1)
	engines(t, func(t *testing.T, r *plugin.Runtime) {
		x, c := attached(t, load(t, r, named(t, build(t, "evil", text), 1, "\x00"+string(rune(len(evil)))+evil), plugin.Policy{}))
		sample(x)
		f := c.wantFault(t, plugin.ErrTrap)
		if len(f.Stack) < 2 || strings.ContainsAny(f.Error(), "\x1b\n") {
			t.Errorf("fault %q, want one that names functions in one line", f.Error())
		}
		x.Detach(hook.DetachFault)
	})
}

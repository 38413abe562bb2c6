package identity

import "testing"

func TestResetKeysAreThoseOfAMachineAndAPort(t *testing.T) {
	dir := t.TempDir()
	load := func(o Options) *Identity {
		t.Helper()
		o.Protocols = []string{"x"}
		id, err := Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(id.Close)
		return id
	}
	first, again, other := load(Options{StateDir: dir}), load(Options{StateDir: dir}), load(Options{StateDir: t.TempDir()})
	key, ok := first.ResetKey(8277)
	if same, _ := again.ResetKey(8277); !ok || same != key {
		t.Errorf("another run has key %x, want %x, %v", same, key, ok)
	}
	if next, _ := first.ResetKey(8278); next == key {
		t.Error("another port has the same key")
	}
	if strange, _ := other.ResetKey(8277); strange == key {
		t.Error("another machine has the same key")
	}
	if _, ok := (&Identity{opts: Options{Cert: "x"}, state: &state{dir: dir}}).ResetKey(8277); ok {
		t.Error("a certificate from elsewhere makes a key that others can make")
	}
}

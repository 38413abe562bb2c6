package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// trustText is a trust file that uses every field.
var trustText = fmt.Sprintf(`{
  "keys": [{"name": "alice", "key": "%s", "ids": ["org.example.*", "net.alice.cc"], "permissions": ["reserve", "timer"], "views": ["payload"], "expires": "2027-01-01T01:00:00+01:00"}],
  "pins": [{"digest": "%064x", "permissions": ["recovered"], "note": "read on Sunday"}],
  "validators": [{"name": "v1", "key": "%s"}, {"name": "v2", "key": "%s", "expires": "2026-06-01T00:00:00Z"}],
  "require": [{"claim": "reproduced", "by": "v1 | v2"}]
}`, public(key("alice")), 7, public(key("v1")), public(key("v2")))

func trust(t testing.TB, text string) *pack.Trust {
	t.Helper()
	tr, err := pack.ParseTrust("trust.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestATrustFileIsReadAsItStands(t *testing.T) {
	tr := trust(t, trustText)
	by, _ := pack.ParseFormula("v1 | v2")
	want := &pack.Trust{
		Keys: []pack.TrustedKey{{
			Name: "alice", Key: public(key("alice")), IDs: []string{"org.example.*", "net.alice.cc"},
			Ceiling: pack.Ceiling{Permissions: hook.MayReserve | hook.MayTimer, Payload: true},
			Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		}},
		Pins: []pack.Pin{{Digest: pack.Digest{31: 7}, Ceiling: pack.Ceiling{Permissions: hook.MayRecover}, Note: "read on Sunday"}},
		Validators: []pack.Validator{
			{Name: "v1", Key: public(key("v1"))},
			{Name: "v2", Key: public(key("v2")), Expires: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
		},
		Require: []pack.Requirement{{Claim: "reproduced", By: by}},
	}
	if !reflect.DeepEqual(tr, want) {
		t.Errorf("read %+v\nwant %+v", tr, want)
	}
	if again := trust(t, string(tr.Text())); !reflect.DeepEqual(again, want) {
		t.Errorf("written and read again it is %+v", again)
	}
	if got := (&pack.Trust{}).Text(); string(got) != "{}\n" {
		t.Errorf("no trust is written %q", got)
	}
}

func TestABrokenTrustFileSaysWhatIsWrong(t *testing.T) {
	v1, v2 := public(key("v1")).String(), public(key("v2")).String()
	for _, tc := range []struct{ name, from, to, want string }{
		{"misspelt list", `"validators"`, `"validaters"`, `require[0].by: "v1" is no validator of this file`},
		{"unknown list", `"pins"`, `"pin"`, `pin: no such field, did you mean "pins"?`},
		{"missing comma", `"views": ["payload"], `, `"views": ["payload"] `, `line 2, column 192: want "," or "}"`},
		{"key", public(key("alice")).String(), "ed25519:AAAA", `keys[0].key: "ed25519:AAAA" is no public key (want "ed25519:" and 43 characters)`},
		{"no key", `"key": "` + public(key("alice")).String() + `", `, ``, `keys[0].key: is missing`},
		{"no ids", `["org.example.*", "net.alice.cc"]`, `[]`, `keys[0].ids: is empty: no plugin could be of this key; want ids, or "*"`},
		{"glob in the middle", `"net.alice.cc"`, `"net.*.cc"`, `keys[0].ids[1]: "net.*.cc", want an id, "*", or one that ends in ".*" such as "org.example.*"`},
		{"glob within a label", `"net.alice.cc"`, `"net.alice*"`, `keys[0].ids[1]: "net.alice*", want an id, "*", or one that ends in ".*" such as "org.example.*"`},
		{"permission", `"timer"`, `"timers"`, `keys[0].permissions[1]: "timers" is no permission, did you mean "timer"?`},
		{"later permission", `"timer"`, `"path_op"`, `keys[0].permissions[1]: "path_op" comes later, nobody can be granted it yet`},
		{"time", "2027-01-01T01:00:00+01:00", "2027-01-01", `keys[0].expires: "2027-01-01", want an instant such as "2027-01-01T00:00:00Z"`},
		{"digest", fmt.Sprintf("%064x", 7), "7", `pins[0].digest: "7" is no digest (want 64 hexadecimal digits)`},
		{"name twice", `"name": "v2"`, `"name": "v1"`, `validators[1].name: v1 is that of validators[0] already`},
		{"one validator under two names", v2, v1, `validators[1].key: ` + v1 + ` is that of validators[0] already`},
		{"name that is a word of formulas", `"name": "v2"`, `"name": "of"`, `validators[1].name: "of", want a name of letters, digits, "_", "-" and "." that begins with a letter`},
		{"formula", `"v1 | v2"`, `"v1 | (v2"`, `require[0].by: "v1 | (v2": column 9: want "&", "|" or ")", got the end`},
		{"formula about nobody", `"v1 | v2"`, `"v1 | v3"`, `require[0].by: "v3" is no validator of this file`},
		{"claim", `"claim": "reproduced"`, `"claim": "Reproduced"`, `require[0].claim: "Reproduced" is no claim: want a-z, 0-9 and "-._:<=>*", a letter first`},
		{"no claim", `"claim": "reproduced", `, ``, `require[0].claim: is missing`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := pack.ParseTrust("trust.json", []byte(edited(t, trustText, tc.from, tc.to)))
			wantRefusal(t, err, "trust.json: "+tc.want)
		})
	}
}

// TestListsOfATrustFileEndSomewhere fills each list up to its limit, and then once more.
func TestListsOfATrustFileEndSomewhere(t *testing.T) {
	series := func(n int, element func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = element(i)
		}
		return strings.Join(parts, ",")
	}
	name := func(i int) string { return public(key(fmt.Sprint(i))).String() }
	validators := func(n int) string {
		return series(n, func(i int) string { return fmt.Sprintf(`{"name":"v%d","key":"%s"}`, i, name(i)) })
	}
	for _, tc := range []struct {
		field string
		limit int
		text  func(n int) string
	}{
		{"keys", pack.MaxKeys, func(n int) string {
			return `{"keys":[` + series(n, func(i int) string { return fmt.Sprintf(`{"name":"n","key":"%s","ids":["*"]}`, name(i)) }) + `]}`
		}},
		{"keys[0].ids", pack.MaxGlobs, func(n int) string {
			return fmt.Sprintf(`{"keys":[{"name":"n","key":"%s","ids":[%s]}]}`, name(0), series(n, func(i int) string { return fmt.Sprintf(`"org.n%d"`, i) }))
		}},
		{"pins", pack.MaxPins, func(n int) string {
			return `{"pins":[` + series(n, func(i int) string { return fmt.Sprintf(`{"digest":"%064x"}`, i) }) + `]}`
		}},
		{"validators", pack.MaxValidators, func(n int) string { return `{"validators":[` + validators(n) + `]}` }},
		{"require", pack.MaxRequire, func(n int) string {
			return `{"validators":[` + validators(1) + `],"require":[` + series(n, func(i int) string { return fmt.Sprintf(`{"claim":"c%d","by":"v0"}`, i) }) + `]}`
		}},
	} {
		if _, err := pack.ParseTrust("t", []byte(tc.text(tc.limit))); err != nil {
			t.Errorf("a full list is refused: %v", err)
		}
		_, err := pack.ParseTrust("t", []byte(tc.text(tc.limit+1)))
		wantRefusal(t, err, fmt.Sprintf("t: %s: has %d elements, at most %d are allowed", tc.field, tc.limit+1, tc.limit))
	}
	_, err := pack.ParseTrust("t", []byte("{}"+strings.Repeat(" ", pack.MaxTrustFile)))
	wantRefusal(t, err, "t: has 1048578 bytes, at most 1048576 are allowed")
}

func TestATrustFileIsWrittenWholeAndForItsOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config", "trust.json")
	if tr, err := pack.LoadTrust(path); err != nil || !reflect.DeepEqual(tr, &pack.Trust{}) {
		t.Errorf("without a file trust is %+v, %v", tr, err)
	}
	want := trust(t, trustText)
	for range 2 { // the second time over the first
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := pack.LoadTrust(path); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files were left, want 1", len(names))
	}
	before, _ := os.ReadFile(path)
	bad := *want
	bad.Require[0].Claim = "No Claim"
	if err := bad.Save(path); err == nil {
		t.Error("trust that cannot be read was written")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a refused write changed the file")
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.LoadTrust(path); err == nil || !strings.Contains(err.Error(), "others may write it (mode 0620), so it says nothing: look through it, then chmod 600") {
		t.Errorf("a file that others may write: %v", err)
	}
}

func FuzzTrust(f *testing.F) {
	f.Add([]byte(trustText))
	f.Add([]byte("{}"))
	f.Add(trust(f, trustText).Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		one, err := pack.ParseTrust("t", text)
		if err != nil {
			wantError(t, err)
			return
		}
		two, err := pack.ParseTrust("t", one.Text())
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if !bytes.Equal(one.Text(), two.Text()) {
			t.Fatalf("%s\nis read as\n%s", one.Text(), two.Text())
		}
	})
}

// wantError says that err is an *Error.
func wantError(t *testing.T, err error) {
	t.Helper()
	var e *pack.Error
	if !errors.As(err, &e) || e.Rule == "" {
		t.Fatalf("%T: %v", err, err)
	}
}

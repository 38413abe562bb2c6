package interop

import (
	"slices"
	"strings"
	"testing"
)

func implNames(list []*Implementation) string {
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

func TestBuiltInRegistryRunsThreeImplementationsInBothRoles(t *testing.T) {
	r := DefaultRegistry()
	if got, want := implNames(r.All()), "quiver quic-go go-x-net"; got != want {
		t.Fatalf("built-in registry = %s, want %s", got, want)
	}
	for _, i := range r.All() {
		for _, role := range []string{RoleClient, RoleServer} {
			if _, err := i.command("netns", role); err != nil {
				t.Errorf("%s as %s: %v", i.Name, role, err)
			}
		}
		if i.Image == "" || i.URL == "" {
			t.Errorf("%s lacks image or url, which the existing runner requires", i.Name)
		}
	}
}

func TestOverlayKeepsOrderAndPlaces(t *testing.T) {
	r := parseRegistry(t, `{"z": {"image": "z", "url": "u", "role": "both"}, "a": {"image": "a", "url": "u", "role": "both"}}`)
	err := r.Overlay("second", []byte(`{"new": {"image": "n", "url": "u", "role": "client"}, "z": {"image": "z2", "url": "u", "role": "server"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := implNames(r.All()), "z a new"; got != want {
		t.Errorf("order = %s, want %s", got, want)
	}
	if z := r.Lookup("z"); z.Image != "z2" || z.Role != RoleServer {
		t.Errorf("z = %+v, want image z2 and role server", z)
	}
}

func TestFileWithImagesOnlyKeepsBuiltInPrograms(t *testing.T) {
	r := DefaultRegistry()
	err := r.Overlay("public", []byte(`{
		"quic-go": {"image": "martenseemann/quic-go-interop:latest", "url": "https://github.com/quic-go/quic-go", "role": "both"},
		"quinn": {"image": "stammw/quinn-interop:latest", "url": "https://github.com/quinn-rs/quinn", "role": "both", "comment": 1}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup("quic-go").command("netns", RoleClient); err != nil {
		t.Errorf("quic-go lost its program: %v", err)
	}
	_, err = r.Lookup("quinn").command("netns", RoleClient)
	if err == nil || !strings.Contains(err.Error(), "no exec for backend netns") {
		t.Errorf("quinn's error = %v, want no exec for backend netns", err)
	}
}

func TestNewExecReplacesTheOldOneWhole(t *testing.T) {
	r := DefaultRegistry()
	if err := r.Overlay("mine", []byte(`{"quic-go": {"exec": {"client": {"run": ["./mine"]}}}}`)); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Lookup("quic-go").command("netns", RoleClient); err != nil || c.Install != "" {
		t.Errorf("client = %+v, %v, want ./mine without install", c, err)
	}
	if _, err := r.Lookup("quic-go").command("netns", RoleServer); err == nil {
		t.Error("server of the old exec is still there")
	}
}

func TestRegistryErrorsNameEntryAndWish(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"not JSON", `{"a": `, "not JSON"},
		{"a list", `[]`, "want an object"},
		{"no role", `{"a": {"image": "i", "url": "u"}}`, `a: no "role", want "client", "server" or "both"`},
		{"strange role", `{"a": {"image": "i", "url": "u", "role": "proxy"}}`, `role "proxy"`},
		{"nothing to run", `{"a": {"url": "u", "role": "both"}}`, `neither "image" nor "exec"`},
		{"image without url", `{"a": {"image": "i", "role": "both"}}`, `no "url"`},
		{"wrong type", `{"a": {"image": 3, "url": "u", "role": "both"}}`, `"image" is a number, want a string`},
		{"name with slash", `{"a/b": {"image": "i", "url": "u", "role": "both"}}`, "directory name"},
		{"empty name", `{"": {"image": "i", "url": "u", "role": "both"}}`, "empty name"},
		{"empty exec", `{"a": {"role": "both", "exec": {}}}`, `neither "client" nor "server"`},
		{"no run", `{"a": {"role": "both", "exec": {"client": {"install": "x@v1"}}}}`, `exec.client: no "run"`},
		{"unknown placeholder", `{"a": {"role": "both", "exec": {"client": {"run": ["x", "{port}"]}}}}`, "unknown placeholder {port}"},
		{"placeholder in env", `{"a": {"role": "both", "exec": {"server": {"run": ["x"], "env": {"K": "{nix}"}}}}}`, "unknown placeholder {nix}"},
		{"requests inside", `{"a": {"role": "both", "exec": {"client": {"run": ["x", "-u={requests}"]}}}}`, "an argument of its own"},
		{"bin without install", `{"a": {"role": "both", "exec": {"loopback": {"client": {"run": ["{bin}"]}}}}}`, `{bin} without "install"`},
	} {
		err := new(Registry).Overlay("f.json", []byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "f.json") {
			t.Errorf("%s: Overlay(%s) = %v, want an error with f.json and %q", tt.name, tt.in, err, tt.want)
		}
	}
}

func TestRegistryLargerThanTheLimitIsRefused(t *testing.T) {
	err := new(Registry).Overlay("big", make([]byte, maxRegistryBytes+1))
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("Overlay = %v, want an error about the size", err)
	}
}

func TestCutRegistryNeverPanics(t *testing.T) {
	for n := range len(builtinRegistry) - 3 {
		if err := new(Registry).Overlay("cut", builtinRegistry[:n]); err == nil {
			t.Fatalf("the first %d bytes of the built-in registry load without an error", n)
		}
	}
}

func TestSelectKeepsTheOrderGivenAndListsWhatExists(t *testing.T) {
	r := parseRegistry(t, testRegistry)
	got, err := r.Select(RoleServer, []string{"only-server", "alpha", "only-server"})
	if err != nil || implNames(got) != "only-server alpha" {
		t.Errorf("Select = %s, %v, want only-server alpha", implNames(got), err)
	}
	if got, _ := r.Select(RoleClient, nil); implNames(got) != "alpha beta" {
		t.Errorf("all clients = %s, want alpha beta", implNames(got))
	}
	for _, tt := range []struct{ role, name, want string }{
		{RoleClient, "gamma", `unknown client "gamma"; registered are: alpha, beta`},
		{RoleClient, "only-server", `implementation "only-server" is no client; those that are: alpha, beta`},
	} {
		if _, err := r.Select(tt.role, []string{tt.name}); err == nil || err.Error() != tt.want {
			t.Errorf("Select(%s, %s) = %v, want %s", tt.role, tt.name, err, tt.want)
		}
	}
}

func TestReplaceSetsImageOrProgram(t *testing.T) {
	r := parseRegistry(t, testRegistry)
	if err := r.Replace(`alpha=exec:./srv --note 'a b',x --log "{logs}",beta=img:1`); err != nil {
		t.Fatal(err)
	}
	c, err := r.Lookup("alpha").command("netns", RoleServer)
	if want := []string{"./srv", "--note", "a b,x", "--log", "{logs}"}; err != nil || !slices.Equal(c.Run, want) {
		t.Errorf("alpha runs %q, %v, want %q", c.Run, err, want)
	}
	if b := r.Lookup("beta"); b.Image != "img:1" || b.Exec != nil {
		t.Errorf("beta = %+v, want image img:1 and no program", b)
	}
	for _, tt := range []struct{ in, want string }{
		{"alpha", "want name=image or name=exec:command"},
		{"alpha=", "want name=image or name=exec:command"},
		{"nobody=x", `unknown implementation "nobody"; registered are: alpha, beta, only-server`},
		{"alpha=exec:", `no "run"`},
		{"alpha=exec:'x", "open quote"},
	} {
		if err := r.Replace(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Replace(%q) = %v, want %s", tt.in, err, tt.want)
		}
	}
}

func TestImplementationsNeedACommonProtocol(t *testing.T) {
	r := parseRegistry(t, `{
		"hq": {"image": "i", "url": "u", "role": "both"},
		"h3": {"image": "i", "url": "u", "role": "both", "speaks": ["h3"]},
		"all": {"image": "i", "url": "u", "role": "both", "speaks": ["hq-interop", "h3"]}}`)
	for _, tt := range []struct{ client, server, test, want string }{
		{"hq", "hq", "transfer", ""}, {"hq", "all", "transfer", ""}, {"h3", "all", "transfer", ""}, {"all", "h3", "transfer", ""},
		{"hq", "h3", "http3", ""}, {"h3", "hq", "http3", ""},
		{"hq", "h3", "transfer", "no common application protocol in this test: hq speaks hq-interop, h3 speaks h3"},
		{"h3", "hq", "v2", "no common application protocol in this test: h3 speaks h3, hq speaks hq-interop"},
	} {
		if got := strangers(r.Lookup(tt.client), r.Lookup(tt.server), tt.test); got != tt.want {
			t.Errorf("client %s, server %s in %s: %q, want %q", tt.client, tt.server, tt.test, got, tt.want)
		}
	}
}

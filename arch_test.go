package quiver_test

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// layers says, for every package, which packages of this module its non-test
// files may import. It is a statement about the design, not a record of the
// code: a change that needs another arrow starts in docs/ARCHITECTURE.md.
var layers = map[string][]string{
	".": {},

	// Floor 1: pure, but for qlog, which writes, and udp, which is the socket.
	"hook":               {},
	"internal/wire":      {},
	"internal/crypt":     {"internal/wire"},
	"internal/recovery":  {"hook", "internal/wire"},
	"internal/qlog":      {"hook", "internal/wire"},
	"internal/core":      {"hook", "internal/wire", "internal/crypt", "internal/recovery", "internal/qlog"},
	"internal/udp":       {},
	"internal/need":      {},
	"internal/nstest":    {"internal/need"},
	"internal/leaktest":  {},
	"internal/packetlog": {},
	"internal/known":     {},
	"internal/netwatch":  {},
	"internal/tcpq":      {"internal/wire"},
	"internal/seccomp":   {},
	"internal/fabric":    {},

	// Floor 2.
	"quic":                         {"hook", "internal/wire", "internal/crypt", "internal/recovery", "internal/qlog", "internal/core", "internal/udp"},
	"netsim":                       {"internal/udp"},
	"internal/dissect":             {"internal/wire", "internal/crypt"},
	"internal/dissect/dissecttest": {"internal/wire", "internal/crypt"},
	"internal/virtual":             {"hook", "internal/wire", "internal/crypt", "internal/recovery", "internal/core", "netsim"},
	"internal/quictest":            {"hook", "internal/wire", "internal/crypt", "internal/recovery", "internal/qlog", "internal/core", "internal/virtual", "netsim"},

	// Floor 3.
	"http3":            {"quic", "internal/wire"},
	"interop/certs":    {},
	"interop/backend":  {"netsim", "interop/certs"},
	"interop/check":    {"internal/wire", "internal/crypt", "internal/dissect"},
	"interop/endpoint": {"internal/known", "quic", "http3", "hook", "plugin", "plugin/pack", "plugins"},
	"interop":          {"netsim", "interop/backend", "interop/certs", "interop/check"},
	"internal/bench":   {"quic", "interop/certs", "peers", "peers/perf"},
	"plugin":           {"hook", "quic", "plugin/cache", "plugin/pack", "plugin/wasm"},
	"plugin/cache":     {"plugin/pack"},
	"plugin/lab":       {"hook", "internal/packetlog", "internal/qlog", "internal/virtual", "netsim"},
	"plugin/pack":      {"hook", "plugin/wasm"},
	"plugin/build":     {"plugin/pack", "plugin/wat"},
	"plugin/drive":     {"hook"},
	"plugin/inspect":   {"hook", "plugin/pack", "plugin/wasm"},
	"plugin/sdk":       {},
	"plugin/wasm":      {},
	"plugin/wat":       {},
	"plugins/fec":      {},
	"peers":            {"peers/perf"},
	"peers/perf":       {},
	"sockets":          {"quic", "internal/netwatch", "internal/seccomp", "internal/fabric", "internal/tcpq", "sockets/policy", "sockets/identity", "sockets/tunnel", "sockets/control", "sockets/report"},
	"sockets/control":  {},
	"sockets/doctor":   {"internal/seccomp", "internal/fabric"},
	"sockets/gateway":  {"quic", "internal/tcpq", "sockets/policy", "sockets/identity", "sockets/tunnel", "sockets/control", "sockets/report"},
	"sockets/identity": {"internal/known"},
	"sockets/policy":   {},
	"sockets/report":   {"sockets/control", "sockets/identity", "sockets/tunnel"},
	"sockets/tunnel":   {"quic", "internal/tcpq"},
	"sockets/probe":    {},
	"sockets/programs": {},

	// Floor 4.
	"cmd/quiver": {"hook", "internal/packetlog", "internal/bench", "netsim", "quic", "interop", "interop/backend", "interop/check", "interop/endpoint", "peers", "peers/perf",
		"plugin", "plugin/build", "plugin/cache", "plugin/drive", "plugin/inspect", "plugin/lab", "plugin/pack", "plugin/sdk", "plugins",
		"sockets", "sockets/control", "sockets/doctor", "sockets/gateway", "sockets/identity", "sockets/policy", "sockets/tunnel"},
	"tool/cells": {},
	"tool/layer": {},
	"tool/check": {},
	"tool/peers": {"peers"},
	"tool/soak":  {"quic", "netsim"},

	// Beside: the plugins, as files.
	"plugins": {},

	// Beside: programs that show the public API.
	"examples/echo":    {"quic"},
	"examples/sockets": {"netsim", "plugin/lab"},
}

// pure are the packages in which time and randomness are arguments.
var pure = []string{"hook", "internal/wire", "internal/crypt", "internal/recovery", "internal/core", "internal/tcpq"}

// never is a rule about what a package must not import, by itself or through
// other packages of this module.
type never struct {
	pkg     string // of this module; "*" is every package
	imports string // exact, or a tree that ends in "/..."
	why     string
	except  []string // packages that may, for "*"
	but     []string // names, as in "net.ErrClosed", that may be used all the same
}

var nevers = append(pureNevers(), []never{
	{pkg: "*", imports: modulePath + "/internal/core", why: "HTTP/3, plugins and sockets use the public API of quic, as any program does", except: []string{"quic", "internal/virtual", "internal/quictest"}},
	{pkg: "interop", imports: modulePath + "/internal/core", why: "the runner judges Quiver as a stranger, from its packets"},
	{pkg: "interop/check", imports: modulePath + "/internal/core", why: "a judge does not share the code of the judged"},
	{pkg: "internal/dissect", imports: modulePath + "/internal/core", why: "a second reader must not share the first one's mistakes"},
	{pkg: "netsim", imports: modulePath + "/internal/core", why: "the network does not know who talks over it"},
	{pkg: "quic", imports: modulePath + "/plugin", why: "whoever imports quic alone links no WebAssembly engine"},
	{pkg: "quic", imports: modulePath + "/sockets", why: "the transport does not know who rides it"},
	{pkg: "*", imports: "github.com/google/nftables/...", why: "only the fabric holds SYNs", except: []string{"internal/fabric"}},
	{pkg: "quic", imports: "os/exec", why: "a transport starts no program"},
	{pkg: "quic", imports: "net/http", why: "HTTP lives above the transport"},
	{pkg: "*", imports: "github.com/tetratelabs/wazero/...", why: "only plugin hosts WebAssembly", except: []string{"plugin"}},
	{pkg: "*", imports: "github.com/spf13/cobra/...", why: "flags end in the command", except: []string{"cmd/quiver"}},
	{pkg: "*", imports: "github.com/quic-go/...", why: "field compression is HTTP/3's", except: []string{"http3"}},
	{pkg: "*", imports: "github.com/chromedp/...", why: "a browser is for tests only"},
	{pkg: "*", imports: "github.com/rogpeppe/go-internal/...", why: "testscript is for tests only"},
	{pkg: "*", imports: "testing", why: "a test kit is a package of its own", except: []string{"internal/quictest", "internal/dissect/dissecttest", "internal/need", "internal/nstest"}},
}...)

// pureNevers is the table of what no pure package imports.
func pureNevers() []never {
	var out []never
	for _, pkg := range pure {
		for _, r := range []never{
			{imports: "net", why: "the core is a function of its inputs", but: []string{"net.ErrClosed"}},
			{imports: "os", why: "the core is a function of its inputs"},
			{imports: "syscall", why: "the core is a function of its inputs"},
			{imports: "golang.org/x/sys/...", why: "the core is a function of its inputs"},
			{imports: "sync", why: "whoever drives the core holds the lock"},
			{imports: "sync/atomic", why: "whoever drives the core holds the lock"},
			{imports: "crypto/rand", why: "randomness is an argument"},
			{imports: "math/rand", why: "randomness is an argument"},
			{imports: "math/rand/v2", why: "randomness is an argument"},
			{imports: "unsafe", why: "bytes from the network are only ever bytes"},
			{imports: "log", why: "what happens leaves as a value or an event"},
			{imports: "log/slog", why: "what happens leaves as a value or an event"},
			{imports: "github.com/tetratelabs/wazero/...", why: "the core knows hooks, not plugins"},
		} {
			r.pkg = pkg
			out = append(out, r)
		}
	}
	return out
}

func TestPackagesImportOnlyWhatTheirLayerAllows(t *testing.T) {
	m := theModule(t)
	for _, pkg := range m.names() {
		allowed, placed := layers[pkg]
		if !placed {
			t.Errorf("package %s is in no layer: place it in the layers of arch_test.go and in docs/ARCHITECTURE.md", pkg)
			continue
		}
		for path, s := range m.imports(pkg) {
			if dep, ok := inside(path); ok && !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s: package %s may import %s", s.path, dep, pkg, list(allowed))
			}
		}
	}
}

func list(names []string) string {
	if len(names) == 0 {
		return "no package of this module"
	}
	return strings.Join(names, ", ") + " and no other of this module"
}

func TestLayersHaveOneDirection(t *testing.T) {
	done, open := map[string]bool{}, map[string]bool{}
	var visit func(pkg string, trail []string)
	visit = func(pkg string, trail []string) {
		trail = append(trail, pkg)
		if open[pkg] {
			t.Fatalf("the layers have a circle: %s", strings.Join(trail, " > "))
		}
		if done[pkg] {
			return
		}
		open[pkg] = true
		for _, dep := range layers[pkg] {
			if _, placed := layers[dep]; !placed {
				t.Errorf("the layers let %s import %s, which is in no layer", pkg, dep)
			}
			visit(dep, trail)
		}
		open[pkg], done[pkg] = false, true
	}
	for _, pkg := range slices.Sorted(maps.Keys(layers)) {
		visit(pkg, nil)
	}
}

func TestPackagesNeverImportWhatIsForbidden(t *testing.T) {
	m := theModule(t)
	for _, r := range nevers {
		for _, pkg := range m.names() {
			if r.pkg != pkg && (r.pkg != "*" || slices.Contains(r.except, pkg)) {
				continue
			}
			if chain := m.offence(pkg, r, map[string]bool{}); chain != "" {
				t.Errorf("%s imports %s: never, because %s", chain, r.imports, r.why)
			}
		}
	}
}

// offence returns how pkg comes to break r, or nothing. A "*" rule is about
// direct imports, since every package is asked for itself.
func (m *module) offence(pkg string, r never, seen map[string]bool) string {
	if seen[pkg] {
		return ""
	}
	seen[pkg] = true
	imports := m.imports(pkg)
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		if r.forbids(path) && !m.usesOnly(pkg, path, r.but) {
			return imports[path].path
		}
		if dep, ok := inside(path); ok && r.pkg != "*" {
			if chain := m.offence(dep, r, seen); chain != "" {
				return fmt.Sprintf("%s > %s", pkg, chain)
			}
		}
	}
	return ""
}

func (r never) forbids(path string) bool {
	tree, isTree := strings.CutSuffix(r.imports, "/...")
	return path == tree || isTree && strings.HasPrefix(path, tree+"/")
}

// usesOnly reports whether all that pkg takes from an import is in names: a
// sentinel error is a value, whatever else its package does.
func (m *module) usesOnly(pkg, path string, names []string) bool {
	if len(names) == 0 {
		return false
	}
	for _, s := range m.packages[pkg] {
		if s.test {
			continue
		}
		local, ok := localName(s.ast, path)
		if !ok {
			continue
		}
		only := local != "." && local != "_"
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, local) && !slices.Contains(names, path+"."+sel.Sel.Name) {
				only = false
			}
			return only
		})
		if !only {
			return false
		}
	}
	return true
}

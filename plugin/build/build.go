// Package build makes packages of plugins from their sources: it finds the language of a directory, runs that language's tools, and seals what they
// made with the manifest. Text needs no tools.
package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wat"
)

// maxModule is how large a module that a tool made may be, in bytes: that of the host.
const maxModule = 256 << 10

// Origin is where sources come from, as far as the author says; "" = not said. It becomes part of the package, and of its identity.
type Origin struct{ URL, Commit string }

// A ToolError says which tool is missing or failed.
type ToolError struct {
	Tool, Hint string
	Err        error
	Output     string // of the tool
}

func (e *ToolError) Error() string {
	s := fmt.Sprintf("%s: %v", e.Tool, e.Err)
	if e.Output != "" {
		s += "\n" + e.Output
	}
	return s
}

func (e *ToolError) Unwrap() error { return e.Err }

// Dir builds the plugin in dir and returns the package, and the name of its file in dir, which it does not write. The lines that tools print go to talk.
// Errors are *ToolError, *wat.Error and the like, *pack.Error, or of the file system.
func Dir(ctx context.Context, dir string, from Origin, talk io.Writer) (file string, sealed []byte, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("%s has no manifest.json: is it the directory of a plugin?", dir)
	}
	if err != nil {
		return "", nil, err
	}
	m, err := pack.ParseManifest(filepath.Join(dir, "manifest.json"), text)
	if err != nil {
		return "", nil, err
	}
	b := builder{dir: dir, name: m.ID[strings.LastIndexByte(m.ID, '.')+1:], talk: talk, src: pack.Source{URL: from.URL, Commit: from.Commit}}
	module, err := b.module(ctx)
	if err != nil {
		return "", nil, err
	}
	sealed, err = pack.Seal(module, m, &b.src)
	return b.name + ".wasm", sealed, err
}

// builder builds one plugin.
type builder struct {
	dir, name string
	talk      io.Writer
	src       pack.Source
}

// module makes the WebAssembly module with the tools of the language that the directory's files tell.
func (b *builder) module(ctx context.Context) ([]byte, error) {
	switch {
	case b.has("plugin.wat"):
		return b.text()
	case b.has("Makefile"):
		return b.c(ctx)
	case b.has("plugin.ts"):
		return b.assemblyScript(ctx)
	}
	return nil, fmt.Errorf("%s has neither plugin.wat nor Makefile nor plugin.ts: cannot tell how to build it", b.dir)
}

func (b *builder) has(name string) bool {
	_, err := os.Stat(filepath.Join(b.dir, name))
	return err == nil
}

func (b *builder) text() ([]byte, error) {
	name := filepath.Join(b.dir, "plugin.wat")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	b.src.Toolchain, b.src.Build = "quiver plugin/wat", "quiver plugin build ."
	return wat.Assemble(name, text)
}

// c runs make, which writes NAME.module.wasm; see pq.mk.
func (b *builder) c(ctx context.Context) ([]byte, error) {
	compiler, err := firstTool("clang-19", "clang-18", "clang-17", "clang")
	if err != nil {
		return nil, &ToolError{"clang", "install clang and lld, as in: apt-get install clang lld", err, ""}
	}
	version, err := b.run(ctx, compiler, "--version")
	if err != nil {
		return nil, err
	}
	lines, err := b.run(ctx, "make", "--no-print-directory", "--always-make", "CC_WASM="+compiler)
	if err != nil {
		return nil, err
	}
	b.src.Toolchain, b.src.Build = versionOf(version), strings.TrimSpace(lines)
	return b.made(b.name + ".module.wasm")
}

// versionOf leaves out which system's build of a compiler it is, and where.
func versionOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if _, after, ok := strings.Cut(line, "clang version "); ok {
		version, _, _ := strings.Cut(after, " ")
		return "clang " + version
	}
	return line
}

// assemblyScript is the command line of the compiler that fits pq.ts.
var assemblyScript = []string{
	"plugin.ts", "-O3", "--runtime", "stub", "--noAssert", "--use", "abort=", "--initialMemory", "1", "--maximumMemory", "2",
}

func (b *builder) assemblyScript(ctx context.Context) ([]byte, error) {
	tool := filepath.Join(b.dir, "node_modules", ".bin", "asc")
	if _, err := os.Stat(tool); err != nil {
		return nil, &ToolError{"asc", "run 'npm install' in " + b.dir + " first", errors.New("AssemblyScript is not installed there"), ""}
	}
	tool, err := filepath.Abs(tool)
	if err != nil {
		return nil, err
	}
	version, err := b.run(ctx, tool, "--version")
	if err != nil {
		return nil, err
	}
	out := b.name + ".module.wasm"
	args := append(append([]string(nil), assemblyScript...), "-o", out)
	if _, err := b.run(ctx, tool, args...); err != nil {
		return nil, err
	}
	b.src.Toolchain, b.src.Build = "AssemblyScript "+strings.TrimPrefix(strings.TrimSpace(version), "Version "), "npx asc "+strings.Join(args, " ")
	return b.made(out)
}

// made reads what a tool made.
func (b *builder) made(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(b.dir, name))
	if err != nil {
		return nil, fmt.Errorf("the tools made no %s: its name must be the last part of the id in manifest.json: %w", name, err)
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, maxModule+1))
	if err == nil && len(module) > maxModule {
		err = fmt.Errorf("%s has more than %d bytes, which no host loads", name, maxModule)
	}
	return module, err
}

// run runs a tool in the directory and returns what it printed.
func (b *builder) run(ctx context.Context, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SOURCE_DATE_EPOCH=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return "", &ToolError{filepath.Base(tool), "", err, strings.TrimSpace(stderr.String())}
	}
	b.talk.Write(stderr.Bytes())
	return stdout.String(), nil
}

func firstTool(names ...string) (string, error) {
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("found none of %s", strings.Join(names, ", "))
}

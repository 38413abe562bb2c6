package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/interop/backend"
	"github.com/spf13/cobra"
)

const interopRunLong = `Run QUIC implementations against each other, client by server by test, over a simulated
network, and judge every run from its packet trace.

With no option this runs every registered implementation in its roles through all tests: the
22 of the public interop runner and some of our own, see 'quiver interop list'. -t all adds
the two measurements; of each the mean of five runs is shown, in a second table. The
foreign programs are built once from the Go module proxy and kept in the user's cache
directory. Neither Docker nor root is needed where the kernel lets users make namespaces;
where it does not, the run says so and goes through a relay on the loopback interface.

Everything is written to a fresh directory, interop-results/<time>/ unless --log-dir says
otherwise:
  index.html            the matrix with the reason of every verdict
  result.json           the same for programs, in the format of the public interop runner
  results.jsonl         one line per finished run, written while running
  SERVER_CLIENT/TEST/   output.txt, and client/, server/ and sim/ with key logs, qlogs and traces
A run that is interrupted writes what it has.

stdout is the matrix, stderr is talk. Exit status: 0 no cell failed, 1 some did (or the run
was interrupted), 2 wrong usage.`

const interopRunExample = `  quiver interop run
  quiver interop run -s quic-go,go-x-net -c quiver -t handshake,transfer --jobs 2
  quiver interop run -c quiver -r 'quic-go=exec:./my-server --listen {listen}' -l out
  quiver interop run -s quic-go -c quiver -t retry --seed 4711      one cell again, same seed`

// runOptions are the flags of interop run as given.
type runOptions struct {
	protocol, servers, clients, tests string
	replace, registries               []string
	logDir, json, saveFiles           string
	markdown, debug                   bool
	mustInclude, exempt               string
	backend, profile, failOn          string
	jobs, repeat                      int
	seed                              uint64
}

func newInteropRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{Use: "run", Short: "Run the matrix", Long: interopRunLong, Example: interopRunExample}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.servers, "server", "s", "", "server implementations, comma-separated `NAMES` (default all)")
	f.StringVarP(&o.clients, "client", "c", "", "client implementations, comma-separated `NAMES` (default all)")
	f.StringVarP(&o.tests, "test", "t", "onlyTests", "comma-separated `NAMES` of tests and measurements, onlyTests, onlyMeasurements or all; empty runs none")
	f.StringArrayVarP(&o.replace, "replace", "r", nil, "run something else for a name: `NAME=exec:COMMAND` or NAME=IMAGE; repeatable, or comma-separated")
	f.StringVarP(&o.mustInclude, "must-include", "i", "", "only pairs that have implementation `NAME` on either side")
	f.StringVarP(&o.logDir, "log-dir", "l", "", "`DIR` for logs and results, must not exist (default interop-results/<time>)")
	f.StringVarP(&o.json, "json", "j", "", "also write the results to `FILE`")
	f.BoolVarP(&o.markdown, "markdown", "m", false, "print the matrix as Markdown")
	f.StringVarP(&o.saveFiles, "save-files", "f", "", "keep served and downloaded files of failed runs (any `VALUE`, or none)")
	f.BoolVarP(&o.debug, "debug", "d", false, "say more on stderr")
	f.StringVarP(&o.exempt, "no-auto-unsupported", "n", "", "comma-separated `NAMES` that never get the hint \"failed against every peer\"")
	f.StringVarP(&o.protocol, "protocol", "p", "quic", "`PROTOCOL`: quic (webtransport is not there yet)")
	f.StringArrayVar(&o.registries, "registry", nil, "`FILE` with more implementations, laid over the built-in registry; repeatable")
	f.StringVar(&o.backend, "backend", "auto", "where programs run: `BACKEND` auto, netns or loopback")
	f.IntVar(&o.jobs, "jobs", 0, fmt.Sprintf("`N` runs side by side (default %d on this machine)", interop.DefaultJobs()))
	f.Uint64Var(&o.seed, "seed", 0, "decide every random choice by `N` (default a fresh one, printed)")
	f.IntVar(&o.repeat, "repeat", 1, "run every cell `N` times; it fails when one of them does")
	f.StringVar(&o.profile, "profile", "compat", "`RULES` of judgement: compat (strict is not there yet)")
	f.StringVar(&o.failOn, "fail-on", "any", "exit with 1 for `WHAT`: any failed cell, or none")
	f.Lookup("save-files").NoOptDefVal = "yes"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if o.saveFiles != "" && len(args) == 1 {
			return nil // "-f VALUE" of the existing runner: the value says nothing
		}
		return noArgs(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runInterop(cmd, &o) }
	return cmd
}

func runInterop(cmd *cobra.Command, o *runOptions) error {
	plan, err := o.plan(cmd)
	if err != nil {
		return usage(cmd, err)
	}
	b, why, err := backend.Pick(o.backend)
	if err != nil {
		return &status{code: exitUsage, err: err}
	}
	plan.Backend, plan.BackendNote = b, why
	store, err := openStore(o.logDir)
	if err != nil {
		return &status{code: exitUsage, err: err}
	}
	plan.LogDir = store.Dir
	talk := cmd.ErrOrStderr()
	if why != "" {
		fmt.Fprintln(talk, why)
	}
	fmt.Fprintf(talk, "Backend %s, seed %d, saving logs to %s\n", b.Name(), uint64(plan.Seed), store.Dir)
	watch, end := newProgress(talk, o.debug)
	plan.Watch = watch
	rep, err := interop.Run(cmd.Context(), plan, store)
	end()
	if err != nil {
		return err
	}
	if err := o.show(cmd, rep, store); err != nil {
		return err
	}
	return o.exit(cmd.Context(), rep)
}

// plan turns the options into a plan without its backend, store and watcher. Every error is the user's.
func (o *runOptions) plan(cmd *cobra.Command) (*interop.Plan, error) {
	if err := o.checkWords(); err != nil {
		return nil, err
	}
	reg, err := loadRegistry(o.registries)
	if err != nil {
		return nil, err
	}
	for _, spec := range o.replace {
		if err := reg.Replace(spec); err != nil {
			return nil, err
		}
	}
	p := &interop.Plan{
		Seed: interop.Seed(o.seed), Jobs: o.jobs, Repeat: o.repeat, MustInclude: o.mustInclude, SaveFiles: o.saveFiles != "",
		Params: interop.Parameters{
			ClientParams: os.Getenv("CLIENT_PARAMS"), ServerParams: os.Getenv("SERVER_PARAMS"), Cron: os.Getenv("CRON"),
		},
		RerunCommand: o.rerunCommand(), Install: installPeer,
	}
	if p.Servers, err = reg.Select(interop.RoleServer, commaList(o.servers)); err != nil {
		return nil, err
	}
	if p.Clients, err = reg.Select(interop.RoleClient, commaList(o.clients)); err != nil {
		return nil, err
	}
	if p.Cases, err = interop.SelectCases(o.tests); err != nil {
		return nil, err
	}
	if err := o.checkNames(p); err != nil {
		return nil, err
	}
	if !cmd.Flags().Changed("seed") {
		p.Seed = interop.Seed(rand.Uint32()) // short enough to type again
	}
	p.Self, err = os.Executable()
	return p, errors.Join(err, p.Check())
}

// checkWords checks the options that take one of a few words, and the place for --json.
func (o *runOptions) checkWords() error {
	switch {
	case o.protocol == "webtransport":
		return errors.New("protocol webtransport is not there yet, want quic")
	case o.protocol != "quic":
		return fmt.Errorf("unknown protocol %q, want quic", o.protocol)
	case o.profile == "strict":
		return errors.New("profile strict is not there yet, want compat")
	case o.profile != "compat":
		return fmt.Errorf("unknown profile %q, want compat", o.profile)
	case o.failOn == "regression":
		return errors.New("--fail-on regression is not there yet, want any or none")
	case o.failOn != "any" && o.failOn != "none":
		return fmt.Errorf("--fail-on %q, want any or none", o.failOn)
	case o.backend == "docker":
		return errors.New("backend docker is not there yet, want auto, netns or loopback")
	case !slices.Contains([]string{"auto", "netns", "loopback"}, o.backend):
		return fmt.Errorf("unknown backend %q, want auto, netns or loopback", o.backend)
	}
	if o.json == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(o.json)); err != nil || !info.IsDir() {
		return fmt.Errorf("--json %s: its directory does not exist", o.json)
	}
	return nil
}

// checkNames checks the names of --must-include and --no-auto-unsupported against what was selected.
func (o *runOptions) checkNames(p *interop.Plan) error {
	var selected []string
	for _, i := range append(slices.Clone(p.Clients), p.Servers...) {
		if !slices.Contains(selected, i.Name) {
			selected = append(selected, i.Name)
		}
	}
	p.Exempt = commaList(o.exempt)
	for option, names := range map[string][]string{"--must-include": commaList(o.mustInclude), "--no-auto-unsupported": p.Exempt} {
		for _, n := range names {
			if !slices.Contains(selected, n) {
				return fmt.Errorf("%s %s: not among the selected implementations: %s", option, n, strings.Join(selected, ", "))
			}
		}
	}
	return nil
}

// rerunCommand returns this program's name and the options that a re-run of one cell needs besides its names and seed.
func (o *runOptions) rerunCommand() string {
	words := []string{programName(), "interop", "run"}
	add := func(flag, value string) { words = append(words, flag, interop.ShellQuote(value)) }
	if o.backend != "auto" {
		add("--backend", o.backend)
	}
	for _, f := range o.registries {
		add("--registry", f)
	}
	for _, r := range o.replace {
		add("-r", r)
	}
	return strings.Join(words, " ")
}

// programName returns how to call this program again: "go run" leaves nothing behind that could be called.
func programName() string {
	self, err := os.Executable()
	if err == nil && strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/quiver"
	}
	return interop.ShellQuote(os.Args[0])
}

// openStore makes the log directory. Without a name it is one of the current time that does not exist.
func openStore(dir string) (*interop.Store, error) {
	if dir != "" {
		return interop.NewStore(dir)
	}
	base := filepath.Join("interop-results", time.Now().Format("2006-01-02T15:04:05"))
	var store *interop.Store
	var err error
	for n := 1; n <= 100; n++ {
		if dir = base; n > 1 {
			dir = fmt.Sprintf("%s-%d", base, n)
		}
		if store, err = interop.NewStore(dir); err == nil || !errors.Is(err, os.ErrExist) {
			return store, err
		}
	}
	return nil, err
}

func commaList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// show prints the matrix on stdout, and on stderr what to know and where to look.
func (o *runOptions) show(cmd *cobra.Command, rep *interop.Report, store *interop.Store) error {
	if o.json != "" {
		data, err := rep.JSON()
		if err != nil {
			return err
		}
		if err := interop.WriteFileAtomic(o.json, append(data, '\n')); err != nil {
			return err
		}
	}
	out, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if len(rep.Cases) > 0 {
		fmt.Fprint(out, rep.Matrix(o.matrixStyle(out)))
	}
	for _, line := range rep.Notes() {
		fmt.Fprintln(talk, line)
	}
	page, err := store.PageURL()
	if err != nil {
		return err
	}
	what := "Results"
	if rep.Interrupted {
		what = "Interrupted: partial results"
	}
	fmt.Fprintf(talk, "%s written to %s\nOpen %s in a browser.\n", what, store.Dir, page)
	return nil
}

func (o *runOptions) matrixStyle(out io.Writer) interop.MatrixStyle {
	switch {
	case o.markdown:
		return interop.MatrixMarkdown
	case colourful(out):
		return interop.MatrixColour
	}
	return interop.MatrixText
}

// exit returns the status that the outcome asks for.
func (o *runOptions) exit(ctx context.Context, rep *interop.Report) error {
	if ctx.Err() != nil {
		return &status{code: exitFailed}
	}
	if rep.Ran() == 0 && rep.Planned() > 0 {
		return &status{code: exitFailed, err: errors.New("nothing could run: every pair has an implementation that is unavailable")}
	}
	if o.failOn == "any" && rep.Count(interop.Failed) > 0 {
		return &status{code: exitFailed}
	}
	return nil
}

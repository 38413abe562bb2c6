package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// question is one of those put to the socket API.
type question struct {
	name  string
	about string        // for people
	limit time.Duration // how long it may take; 0 is usualLimit
	ask   func(*asker)
}

// usualLimit is how long a question may take before its answer is "hangs". It
// is long for a busy machine: a question takes milliseconds.
const usualLimit = 8 * time.Second

// questions returns them all, in the order in which they are asked.
func questions() []question {
	return slices.Concat(connectQuestions, nameQuestions, listenQuestions, bindQuestions, shutdownQuestions, readyQuestions,
		dataQuestions, bulkQuestions, optionQuestions, socketQuestions, processQuestions, otherQuestions, goQuestions)
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "serve":
		return runServe(args, stdin, stdout, stderr)
	case "ask":
		return runAsk(args, stdout, stderr)
	case "question": // one question, asked by ask
		return runQuestion(args, stdout)
	case "helper": // another process, started by a question
		return runHelper(args)
	case "list":
		for _, q := range questions() {
			fmt.Fprintf(stdout, "%-28s %s\n", q.name, q.about)
		}
		return 0
	case "compare":
		return runCompare(args, stdin, stdout, stderr)
	}
	fmt.Fprint(stderr, "probe: want serve, ask, list or compare, for instance:\n",
		"  probe serve :7000                         on one host\n",
		"  probe ask 10.0.0.2:7000 [fd00::2]:7000    on another\n")
	return 2
}

func newFlags(name, usage string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage:", usage)
		flags.PrintDefaults()
	}
	return flags
}

// comparison is the golden file and what may differ from it.
type comparison struct{ want, permit *string }

func compareFlags(flags *flag.FlagSet) comparison {
	return comparison{
		want:   flags.String("want", "", "golden `FILE` to compare the answers with"),
		permit: flags.String("permit", "", "`FILE` of the questions whose answers may differ, each with the reason"),
	}
}

// status compares and returns the exit status.
func (c comparison) status(got []answer, stderr io.Writer) int {
	if *c.want == "" {
		return 0
	}
	want, err := readFile(*c.want)
	var permitted []answer
	if err == nil && *c.permit != "" {
		permitted, err = readFile(*c.permit)
	}
	if err != nil {
		fmt.Fprintf(stderr, "probe: error: %v\n", err)
		return 2
	}
	bad := report(stderr, compare(got, want, permitted))
	fmt.Fprintf(stderr, "%d questions, %d differ where they may not\n", len(got), bad)
	if bad > 0 {
		return 1
	}
	return 0
}

func readFile(path string) ([]answer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAnswers(path, f)
}

func runCompare(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := newFlags("compare", "probe compare --want FILE [--permit FILE] < answers", stderr)
	c := compareFlags(flags)
	if flags.Parse(args) != nil || flags.NArg() != 0 || *c.want == "" {
		flags.Usage()
		return 2
	}
	got, err := readAnswers("standard input", stdin)
	if err != nil {
		fmt.Fprintf(stderr, "probe: error: %v\n", err)
		return 2
	}
	return c.status(got, stdout)
}

func runAsk(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("ask", "probe ask [flags] [HOST:PORT [[HOST6]:PORT]]\nWithout an address the counterpart is started on the loopback interface.", stderr)
	only := flags.String("only", "", "ask only these questions, `NAME,NAME`")
	without := flags.String("without", "", "do not ask these, `NAME,NAME`")
	limit := flags.Duration("limit", 0, "how long a question may take, instead of its own limit")
	jobs := flags.Int("jobs", 1, "how many questions to ask at once")
	c := compareFlags(flags)
	if flags.Parse(args) != nil || flags.NArg() > 2 || *jobs < 1 {
		flags.Usage()
		return 2
	}
	list, err := chosen(questions(), *only, *without)
	to := flags.Args()
	if err == nil && len(to) == 0 {
		var stop func()
		to, stop, err = serveHere()
		if err == nil {
			defer stop()
		}
	}
	for _, a := range to {
		if err == nil {
			_, err = netip.ParseAddrPort(a)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "probe: error: %v\n", err)
		return 2
	}
	if *limit > 0 {
		for i := range list {
			list[i].limit = *limit
		}
	}
	return c.status(askAll(list, to, *jobs, stdout), stderr)
}

// askAll asks the questions, some at once, and writes the answers in their order.
func askAll(list []question, to []string, jobs int, stdout io.Writer) []answer {
	texts := make([]chan string, len(list))
	for i := range texts {
		texts[i] = make(chan string, 1)
	}
	free := make(chan struct{}, jobs)
	go func() {
		for i, q := range list {
			free <- struct{}{}
			go func() {
				texts[i] <- askApart(q, to)
				<-free
			}()
		}
	}()
	got := make([]answer, len(list))
	for i, q := range list {
		got[i] = answer{q.name, <-texts[i]}
		fmt.Fprintln(stdout, got[i])
	}
	return got
}

// chosen returns the questions that are to be asked.
func chosen(all []question, only, without string) ([]question, error) {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
	}
	for _, name := range append(split(only), split(without)...) {
		if !slices.ContainsFunc(all, func(q question) bool { return q.name == name }) {
			return nil, fmt.Errorf("no question %q: see probe list", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(q question) bool {
		return only != "" && !slices.Contains(split(only), q.name) || slices.Contains(split(without), q.name)
	}), nil
}

// self is this program; it may be a test that plays it.
const self = "/proc/self/exe"

// serveHere starts the counterpart on the loopback interface, in another process.
func serveHere() (addrs []string, stop func(), err error) {
	cmd := exec.Command(self, "serve", "--until-eof", ":0")
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	var port int
	if _, err := fmt.Fscanf(out, "listening on port %d\n", &port); err != nil {
		hold.Close()
		return nil, nil, errors.Join(fmt.Errorf("the counterpart did not start: %w", err), cmd.Wait())
	}
	return []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("[::1]:%d", port)}, func() { hold.Close(); cmd.Wait() }, nil
}

// askApart asks q in a process of its own and returns the answer.
func askApart(q question, to []string) string {
	if q.limit == 0 {
		q.limit = usualLimit
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append([]string{"question", q.name}, to...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	said := strings.TrimSpace(out.String())
	switch {
	case ctx.Err() != nil:
		return strings.TrimPrefix(said+", hangs", ", ")
	case err != nil:
		first, _, _ := strings.Cut(errs.String(), "\n")
		return strings.TrimPrefix(fmt.Sprintf("%s, dies: %v %s", said, err, first), ", ")
	}
	return said
}

// runQuestion asks one question in this process and writes what is said as it
// is said, so that the answer of a question that hangs tells where.
func runQuestion(args []string, stdout io.Writer) int {
	q := &asker{w: stdout}
	for i, a := range args[1:] {
		to, err := netip.ParseAddrPort(a)
		if err != nil {
			return 2
		}
		if i == 0 {
			q.four = to
		} else {
			q.six = to
		}
	}
	for _, one := range questions() {
		if one.name == args[0] {
			q.name = one.name
			q.answer(one)
			return 0
		}
	}
	return 2
}

// broken is the panic of must: what had to work for the question to be asked did not.
type broken string

func (q *asker) answer(one question) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			q.say("broken: %s", string(p))
		default:
			panic(p)
		}
	}()
	if strings.HasSuffix(one.name, "-6") && !q.six.IsValid() {
		q.leave("no IPv6 address of the counterpart was given")
		return
	}
	one.ask(q)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const watchPause = time.Second // between two looks of --watch

func newPS() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the programs that run under quiver, and their connections in short",
		Long: `List the programs that this user, for root every user, runs with 'quiver run', and
the gateways, one a line:

  PID      of the quiver process in front of it, for 'quiver status PID'
  MODE     inside or outside: where the program's sockets are; or gateway
  VIA      how its open connections and its listeners go: quic, tcp, native
  CONNS    its open TCP connections, however they go
  PEERS    its QUIC connections, which carry them
  RTT      smoothed round trip time, of the farthest peer
  UP DOWN  bytes from and to the program since its start, over connections
  SINCE    how long it has been running

Nothing running is no failure: a line on stderr says so.`,
		Example: `  quiver run --listen 8000 -- python3 -m http.server 8000 &
  quiver ps                        that server, and who is connected
  quiver ps --watch                the same every second, until Ctrl-C
  quiver ps --json | jq '.[].peers[].rtt_ns'`,
		Args: noArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON: an array with all that is known; with --watch one a line")
	watch := cmd.Flags().Bool("watch", false, "look again every second until interrupted; a terminal is drawn anew, elsewhere lines follow each other")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l := &programList{out: cmd.OutOrStdout(), talk: cmd.ErrOrStderr(), json: *asJSON, watch: *watch, now: time.Now, list: control.List}
		if *watch {
			return l.follow(cmd.Context(), time.After)
		}
		return l.once(cmd.Context())
	}
	return cmd
}

// A programList shows what runs, once or again and again.
type programList struct {
	out, talk   io.Writer
	json, watch bool
	now         func() time.Time
	list        func(context.Context) ([]control.Program, error)

	said   string // of what is missing, last
	widths []int  // of the columns so far, of lines that follow each other; nil = no head yet
}

func (l *programList) once(ctx context.Context) error {
	programs, err := l.list(ctx)
	l.warn(err)
	switch {
	case l.json:
		return printJSON(l.out, programs)
	case len(programs) == 0:
		_, err := fmt.Fprintln(l.talk, "quiver: nothing runs under quiver")
		return err
	}
	return programTable(programs, l.now()).print(l.out, terminalWidth(l.out))
}

// follow shows the list again and again until ctx ends. wait is time.After.
func (l *programList) follow(ctx context.Context, wait func(time.Duration) <-chan time.Time) error {
	for {
		programs, err := l.list(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := l.round(programs, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wait(watchPause):
		}
	}
}

// round is one look of follow.
func (l *programList) round(programs []control.Program, silent error) error {
	f, drawn := terminal(l.out)
	if l.json || !drawn {
		l.warn(silent)
	}
	if l.json {
		return json.NewEncoder(l.out).Encode(programs)
	}
	t := programTable(programs, l.now())
	if !drawn {
		t.headless, t.least = l.widths != nil, l.widths
		l.widths = t.widths()
		return t.print(l.out, 0)
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	return redraw(l.out, t, silent, width, height)
}

// redraw writes t over what was on a terminal, as much as it holds.
func redraw(w io.Writer, t *table, silent error, width, height int) error {
	var b strings.Builder
	t.print(&b, width)
	if len(t.rows) == 0 {
		b.WriteString("nothing runs under quiver\n")
	}
	for _, s := range silentOf(silent) {
		b.WriteString(cut(plain(s.Error()), width) + "\n")
	}
	height = max(height, 3)
	lines := strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
	if more := len(lines) - (height - 1); more > 0 {
		lines = append(lines[:height-2], fmt.Sprintf("… and %s", countText(more+1, "line")))
	}
	screen := strings.ReplaceAll(strings.Join(lines, ""), "\n", "\x1b[K\r\n")
	_, err := io.WriteString(w, "\x1b[H"+screen+"\x1b[K\r\n\x1b[J")
	return err
}

// warn tells of supervisors that are there and did not answer, in follow when
// there are others than before.
func (l *programList) warn(err error) {
	var said strings.Builder
	for _, s := range silentOf(err) {
		fmt.Fprintf(&said, "quiver: warning: %s\n", plain(s.Error()))
	}
	if said.String() != l.said {
		io.WriteString(l.talk, said.String())
	}
	l.said = said.String()
}

// silentOf returns those that err, of control.List or control.Get, tells of.
func silentOf(err error) []*control.SilentError {
	if s, ok := err.(*control.SilentError); ok {
		return []*control.SilentError{s}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var all []*control.SilentError
	for _, err := range joined.Unwrap() {
		all = append(all, silentOf(err)...)
	}
	return all
}

// programTable is the list as people read it.
func programTable(programs []control.Program, now time.Time) *table {
	t := &table{columns: []column{{head: "PID", right: true}, {head: "MODE"}, {head: "VIA"}, {head: "CONNS", right: true}, {head: "PEERS", right: true},
		{head: "RTT", right: true}, {head: "UP", right: true}, {head: "DOWN", right: true}, {head: "SINCE", right: true}, {head: "COMMAND"}}}
	users := slices.ContainsFunc(programs, func(p control.Program) bool { return p.UID != programs[0].UID })
	if users {
		t.columns = slices.Insert(t.columns, 1, column{head: "USER"})
	}
	for i := range programs {
		p := &programs[i]
		row := []string{strconv.Itoa(p.PID), modeText(p), viaText(p), strconv.Itoa(len(p.Conns) + p.ConnsLeftOut), strconv.Itoa(len(p.Peers) + p.PeersLeftOut),
			rttText(p.Peers), sizeText(int64(p.Counters.BytesUp)), sizeText(int64(p.Counters.BytesDown)), sinceText(p.Started, now), commandText(p.Command)}
		if users {
			row = slices.Insert(row, 1, userText(p.UID))
		}
		t.add(row...)
	}
	return t
}

// modeText is where a program's sockets are, or that it is no such program.
func modeText(p *control.Program) string {
	if p.Mode != "" {
		return plain(p.Mode)
	}
	return orDash(p.Kind)
}

// viaText tells the ways of a program's connections and listeners.
func viaText(p *control.Program) string {
	seen := map[string]bool{}
	for i := range p.Conns {
		seen[p.Conns[i].Via] = true
	}
	for i := range p.Listeners {
		for via := range strings.SplitSeq(p.Listeners[i].Via, "+") {
			seen[via] = true
		}
	}
	var ways []string
	for _, via := range []string{control.QUIC, control.TCP, control.Native} {
		if seen[via] {
			ways = append(ways, via)
		}
	}
	return orDash(strings.Join(ways, "+"))
}

// rttText tells the round trip time of the farthest peer.
func rttText(peers []control.Peer) string {
	var longest time.Duration
	for i := range peers {
		longest = max(longest, peers[i].RTT)
	}
	return timeOrDash(longest)
}

// userText names a user, by number if he has no name here.
func userText(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return plain(u.Username)
	}
	return strconv.Itoa(uid)
}

// completePID offers the programs that run.
func completePID(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	programs, _ := control.List(ctx)
	var out []cobra.Completion
	for i := range programs {
		out = append(out, cobra.CompletionWithDesc(strconv.Itoa(programs[i].PID), cut(commandText(programs[i].Command), 60)))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// answering tells of a program that is there and does not answer, from an error of control.Get.
func answering(pid int, err error) error {
	for _, s := range silentOf(err) {
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(s.Path), ".sock"), "-")
		if name == strconv.Itoa(pid) {
			return s
		}
	}
	if unknown, ok := errors.AsType[*control.UnknownError](err); ok {
		return unknown
	}
	return err
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

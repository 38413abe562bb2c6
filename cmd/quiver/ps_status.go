package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/sockets/control"
	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [PID]",
		Short: "Tell of a program under quiver its connections, peers, policy and counters",
		Long: `Tell all of one program that runs under quiver, by the number that 'quiver ps' gives
or by that of the program itself; without a number, of all of them.

  Listeners    the ports on which the program waits, and the UDP port to which QUIC
               connections for them come
  Peers        QUIC connections: → we dialled, ← they dialled. SENT, RECV and LOSS
               are of UDP datagrams, STREAMS those open and those ever
  Connections  the program's TCP connections and how they go: quic, tcp in plain,
               native within the program. UP is from the program
  Counters     since the start; conns are those that were established, dropped
               are connections that the kernel had to ask for twice
  Policy       what decides which way connections go

On a terminal that is too narrow, the last columns of a row follow on a line of
their own. A supervisor that knows more than it lists says how much.`,
		Example: `  quiver status                    of everything that runs
  quiver status 4711               of one; the shell completes the number
  quiver status 4711 --json | jq '.conns[] | select(.via == "tcp")'`,
		ValidArgsFunction: completePID,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, errors.New("want one PID at most"))
			}
			return nil
		},
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON: an object for one PID, else an array")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return statusOfAll(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), *asJSON)
		}
		pid, err := strconv.Atoi(args[0])
		if err != nil || pid <= 0 {
			return usage(cmd, fmt.Errorf("%q is no PID; 'quiver ps' lists them", args[0]))
		}
		p, err := control.Get(cmd.Context(), pid)
		switch {
		case err != nil:
			return answering(pid, err)
		case *asJSON:
			return printJSON(cmd.OutOrStdout(), p)
		}
		return writeProgram(cmd.OutOrStdout(), &p, time.Now(), terminalWidth(cmd.OutOrStdout()))
	}
	return cmd
}

func statusOfAll(ctx context.Context, out, talk io.Writer, asJSON bool) error {
	programs, err := control.List(ctx)
	(&programList{talk: talk}).warn(err)
	switch {
	case asJSON:
		return printJSON(out, programs)
	case len(programs) == 0:
		_, err := fmt.Fprintln(talk, "quiver: nothing runs under quiver")
		return err
	}
	for i := range programs {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := writeProgram(out, &programs[i], time.Now(), terminalWidth(out)); err != nil {
			return err
		}
	}
	return nil
}

// writeProgram tells all of p.
func writeProgram(w io.Writer, p *control.Program, now time.Time, width int) error {
	var b strings.Builder
	writeFacts(&b, p, now, width)
	section := func(n, leftOut int, thing string, t func() *table) {
		if n+leftOut == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s", countText(n+leftOut, thing))
		if leftOut > 0 {
			fmt.Fprintf(&b, ", %d of them listed", n)
		}
		b.WriteString("\n")
		t().print(&b, width)
	}
	section(len(p.Listeners), p.ListenersLeftOut, "listener", func() *table { return listenerTable(p.Listeners) })
	section(len(p.Peers), p.PeersLeftOut, "peer", func() *table { return peerTable(p.Peers, now) })
	section(len(p.Conns), p.ConnsLeftOut, "connection", func() *table { return connTable(p.Conns, now) })
	if p.Policy != "" {
		b.WriteString("\npolicy\n")
		for line := range strings.Lines(p.Policy) {
			b.WriteString(strings.TrimRight("  "+plain(strings.TrimRight(line, "\r\n")), " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFacts writes what is no table.
func writeFacts(b *strings.Builder, p *control.Program, now time.Time, width int) {
	kind := "quiver " + orDash(p.Kind)
	if p.Mode != "" {
		kind += ", " + plain(p.Mode)
	}
	fmt.Fprintf(b, "%d  %s, user %s, since %s\n", p.PID, kind, userText(p.UID), startText(p.Started, now))
	fact := func(name, text string) {
		if text != "" {
			writeWrapped(b, fmt.Sprintf("  %-10s", name), strings.Repeat(" ", 12), text, width)
		}
	}
	fact("command", commandText(p.Command))
	if p.Child > 0 {
		text := fmt.Sprintf("PID %d", p.Child)
		if p.Processes > 0 {
			text += ", " + countText(p.Processes, "process")
		}
		fact("program", text)
	}
	var udp []string
	for _, addr := range p.UDP {
		udp = append(udp, addr.String())
	}
	fact("udp", strings.Join(udp, " "))
	c := &p.Counters
	fact("counters", fmt.Sprintf("conns %d, held %d, refused %d, fallbacks %d, dropped %d, trapped %d", c.Conns, c.Held, c.Refused, c.Fallbacks, c.Dropped, c.Trapped))
	fact("bytes", fmt.Sprintf("up %s, down %s", sizeText(int64(c.BytesUp)), sizeText(int64(c.BytesDown))))
}

// startText writes when something began, and how long ago.
func startText(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", since.In(now.Location()).Format("2006-01-02 15:04:05"), ageText(now.Sub(since)))
}

func listenerTable(listeners []control.Listener) *table {
	t := &table{indent: "  ", columns: []column{{head: "TCP"}, {head: "UDP", right: true}, {head: "VIA"}, {head: "RULE", fold: true}}}
	sorted := slices.SortedStableFunc(slices.Values(listeners), func(a, b control.Listener) int { return a.TCP.Compare(b.TCP) })
	for _, l := range sorted {
		udp := "-"
		if l.UDP != 0 {
			udp = strconv.Itoa(int(l.UDP))
		}
		t.add(l.TCP.String(), udp, orDash(l.Via), orDash(l.Rule))
	}
	return t
}

func peerTable(peers []control.Peer, now time.Time) *table {
	t := &table{indent: "  ", columns: []column{{head: "ADDRESS"}, {head: "STATE"}, {head: "SINCE", right: true}, {head: "STREAMS", right: true}, {head: "RTT", right: true},
		{head: "LOSS", right: true}, {head: "SENT", right: true}, {head: "RECV", right: true},
		{head: "MIN", right: true, fold: true}, {head: "WINDOW", right: true, fold: true}, {head: "0-RTT", fold: true}, {head: "MOVED", right: true, fold: true}, {head: "IDENTITY", fold: true}}}
	sorted := slices.SortedStableFunc(slices.Values(peers), func(a, b control.Peer) int { return a.Address.Compare(b.Address) })
	for _, p := range sorted {
		zero, moved, window := "-", "-", "-"
		if p.ZeroRTT {
			zero = "yes"
		}
		if p.Migrations > 0 {
			moved = strconv.Itoa(p.Migrations)
		}
		loss := "-"
		if p.PacketsSent > 0 {
			loss = fmt.Sprintf("%.1f%%", 100*p.Loss())
		}
		if p.CongestionWindow > 0 {
			window = sizeText(int64(p.CongestionWindow))
		}
		t.add(arrow(p.Direction)+p.Address.String(), orDash(p.State), sinceText(p.Since, now), fmt.Sprintf("%d/%d", p.StreamsOpen, p.StreamsTotal), timeOrDash(p.RTT),
			loss, sizeText(int64(p.BytesSent)), sizeText(int64(p.BytesReceived)),
			timeOrDash(p.MinRTT), window, zero, moved, identityText(p.Identity))
	}
	return t
}

func connTable(conns []control.Conn, now time.Time) *table {
	t := &table{indent: "  ", columns: []column{{head: "PROGRAM"}, {head: "OTHER END"}, {head: "VIA"}, {head: "STATE"}, {head: "SINCE", right: true},
		{head: "UP", right: true}, {head: "DOWN", right: true}, {head: "OWNER", fold: true}, {head: "NAME", fold: true}, {head: "RULE", fold: true}}}
	sorted := slices.SortedStableFunc(slices.Values(conns), func(a, b control.Conn) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return a.App.Compare(b.App)
	})
	for _, c := range sorted {
		owner := c.Command
		if c.PID > 0 {
			owner = strings.TrimSpace(fmt.Sprintf("%d %s", c.PID, c.Command))
		}
		t.add(c.App.String(), arrow(c.Direction)+c.Dest.String(), orDash(c.Via), orDash(c.State), sinceText(c.Since, now),
			sizeText(int64(c.BytesUp)), sizeText(int64(c.BytesDown)), orDash(owner), orDash(c.Name), orDash(c.Rule))
	}
	return t
}

// arrow tells who dialled.
func arrow(direction string) string {
	switch direction {
	case control.Out:
		return "→ "
	case control.In:
		return "← "
	}
	return "  "
}

func timeOrDash(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return durationText(d)
}

// identityText shortens the digest of a key to what tells it from others.
func identityText(identity string) string {
	const digits = 8
	if hex, ok := strings.CutPrefix(identity, "sha256:"); ok && len(hex) > digits {
		return plain("sha256:" + hex[:digits] + "…")
	}
	return orDash(identity)
}

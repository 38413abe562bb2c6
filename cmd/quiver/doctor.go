package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/seed51309289/quiver/sockets/doctor"
	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try what this machine allows, and say how 'quiver run' would work here",
		Long: `Try everything that 'quiver run' uses on this machine as this user, and say which
mode it would choose and why. Nothing is concluded from versions or settings, and
nothing is left behind: what is tried is tried in processes of its own.

  ✓  is there
  ✗  is missing, and 'quiver run' needs it: what to do is below
  -  is missing, and there is another way, or something is slower
  ?  could not be tried, for want of what is missing above

Modes: inside, the program is started in a network namespace of ours and its TCP
sockets are the kernel's; outside, it stays where it is and its TCP sockets are
handed in. Both look the same to the program. Without root a run takes a user
namespace, in which it has the privileges that it needs and its program none.

Exit status: 0 if some mode works, 1 if none does; 'quiver gateway' works anyhow.`,
		Example: `  quiver doctor                    what is there, and what would be chosen
  quiver doctor --json | jq -r '.facts[] | select(.state == "missing") | .name'`,
		Args: noArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON: all facts, the choice or the error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := doctor.Examine(cmd.Context())
		out := cmd.OutOrStdout()
		if *asJSON {
			if err := printJSON(out, r); err != nil {
				return err
			}
		} else if err := writeReport(out, &r, terminalWidth(out), colourful(out)); err != nil {
			return err
		}
		return doctorStatus(&r, *asJSON)
	}
	return cmd
}

// doctorStatus is an error if there is no way; in JSON that was told already.
func doctorStatus(r *doctor.Report, asJSON bool) error {
	switch {
	case r.Choice != nil:
		return nil
	case asJSON:
		return &status{code: exitFailed}
	}
	return &status{exitFailed, errors.New(plain(r.Trouble)), plain(r.Hint)}
}

// hintOfDoctor says what to do after a run in some mode failed: what the machine lacks for it, if that is it.
func hintOfDoctor(ctx context.Context, mode string) string {
	_, err := doctor.Choose(ctx, mode)
	if unable, ok := errors.AsType[*doctor.UnableError](err); ok {
		return plain(unable.Error() + "; " + unable.Hint())
	}
	return "'quiver doctor' tells what this machine allows"
}

// writeReport writes what the doctor found, for people.
func writeReport(w io.Writer, r *doctor.Report, width int, colour bool) error {
	var b strings.Builder
	head := plain(r.System)
	if r.User >= 0 {
		head += ", user " + userText(r.User)
	}
	if r.Around != "" {
		head += ", " + plain(r.Around)
	}
	b.WriteString(head + "\n\n")
	names := 0
	for _, f := range r.Facts {
		names = max(names, utf8.RuneCountInString(plain(f.Name)))
	}
	for _, f := range r.Facts {
		writeFact(&b, f, r.Blocks(f), names, width, colour)
	}
	if r.Choice != nil {
		line := "quiver run would use: " + plain(r.Choice.String()) + ", because " + plain(r.Choice.Why) + "; outside works as well"
		b.WriteString("\n")
		writeWrapped(&b, "", "", line, width)
		writeWrapped(&b, "", "", "It is not a sandbox: a program that means to can open connections that nobody sees.", width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFact writes one fact, and what to do where it is missing.
func writeFact(b *strings.Builder, f doctor.Fact, blocks bool, names, width int, colour bool) {
	name := plain(f.Name)
	head := mark(f, blocks, colour) + " " + name + strings.Repeat(" ", names-utf8.RuneCountInString(name)) + "  "
	indent := strings.Repeat(" ", names+4)
	text := plain(f.What)
	if f.State == doctor.There && f.Found != "" {
		text += " (" + plain(f.Found) + ")"
	}
	writeWrapped(b, head, indent, text, width)
	if f.State == doctor.There {
		return
	}
	if f.Found != "" {
		writeWrapped(b, indent, indent, plain(f.Found), width)
	}
	if f.State == doctor.Missing && f.Hint != "" {
		writeWrapped(b, indent+"→ ", indent+"  ", plain(f.Hint), width)
	}
}

// mark is the sign before a fact.
func mark(f doctor.Fact, blocks, colour bool) string {
	sign, code := "✓", "32"
	switch {
	case f.State == doctor.Untried:
		sign, code = "?", "2"
	case f.State == doctor.Missing && blocks:
		sign, code = "✗", "31"
	case f.State == doctor.Missing:
		sign, code = "-", "33"
	}
	if !colour {
		return sign
	}
	return "\x1b[" + code + "m" + sign + "\x1b[0m"
}

// writeWrapped writes text after head, in lines of up to width columns that begin
// with indent, which is as wide as head; 0 = one line.
func writeWrapped(b *strings.Builder, head, indent, text string, width int) {
	room := max(width-utf8.RuneCountInString(indent), 20)
	line := head
	used := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width > 0 && used+1+n > room:
			b.WriteString(line + "\n")
			line, used = indent, 0
		default:
			line += " "
			used++
		}
		line += word
		used += n
	}
	b.WriteString(line + "\n")
}

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// plain makes text of strangers safe for a terminal: what does not print is
// written as Go writes it in a string.
func plain(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}

// commandText writes a command line so that a shell would read it again.
func commandText(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = wordText(arg)
	}
	return strings.Join(words, " ")
}

func wordText(arg string) string {
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:=,@%+…", r)
	}
	switch {
	case arg != plain(arg):
		quoted := strconv.Quote(arg)
		return "$'" + strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), "'", `\'`) + "'"
	case arg == "" || strings.ContainsFunc(arg, special):
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
}

// ageText writes for how long something has been, with up to two units: 12s, 3m05s, 2h10m, 5d03h. A negative age is of a clock that was set back.
func ageText(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// sinceText is ageText of a moment, "-" if that is unknown.
func sinceText(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return ageText(now.Sub(since))
}

// orDash writes "-" for what is empty.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return plain(text)
}

// countText writes a number of things: 1 peer, 2 peers.
func countText(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "s"):
		thing += "e"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

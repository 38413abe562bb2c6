package interop

import (
	"regexp"
	"strings"
	"testing"
)

func samplePage(t *testing.T) string {
	t.Helper()
	page, err := sampleReport().Page()
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestPageNeedsNothingButItself(t *testing.T) {
	page := samplePage(t)
	for _, bad := range []string{"<script", "<link", "@import", "url(", "<img", "<iframe"} {
		if strings.Contains(page, bad) {
			t.Errorf("page contains %s", bad)
		}
	}
}

func TestPageShowsReasonsFactsAndCommands(t *testing.T) {
	wantContains(t, "page", samplePage(t),
		`title="retry, client quiver, server quiver: failed – The client sent no Initial with a token &lt;of the Retry&gt;.`,
		"the token of packet 2", "sim/trace_node_left.pcap #3 at 0.031200 s",
		"quiver interop run -s quiver -c quiver -t retry --seed 4711",
		"<dd>4711</dd>", "<dd>1m35s</dd>", "golang.org/x/net/internal/quic/cmd/interop@v0.62.0",
		"quinn (server): no exec for backend netns", "server unavailable",
		`href="quiver_quiver/handshake/"`, `href="go-x-net_quiver/retry/output.txt"`)
}

func TestPageEscapesWhatPeersSay(t *testing.T) {
	r := sampleReport()
	r.Cells[0][2].Results[0].Reason = `<script>alert(1)</script>"'`
	r.Cells[0][2].Results[0].Evidence[0].Observed = `<img src=x onerror=alert(1)>`
	r.Servers[0].URL = "javascript:alert(1)"
	page, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`<script|<img|href="javascript:`).FindString(string(page)); found != "" {
		t.Errorf("page contains %s", found)
	}
}

func TestRelativeURLKeepsStrangeNamesApart(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a_b/handshake/", "a_b/handshake/"}, {"a#b_c/x/", "a%23b_c/x/"}, {"a:b_c/x", "./a:b_c/x"}, {"a?b/c", "a%3Fb/c"},
	} {
		if got := relativeURL(tt.in); got != tt.want {
			t.Errorf("relativeURL(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

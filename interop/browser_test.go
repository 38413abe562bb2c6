package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/seed51309289/quiver/internal/need"
)

// browser starts headless Chromium with a window of that width, or skips the test when there is none.
func browser(t *testing.T, width int) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser; left out by -short")
	}
	path := need.Tool(t, "chromium", "chromium-browser", "google-chrome")
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, 900),
		chromedp.UserDataDir(t.TempDir()), chromedp.Env("TMPDIR="+shortDir(t)), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-domain-reliability", true),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancelTab() }) // waits for the browser to be gone
	return ctx
}

// shortDir returns a directory for the browser's own files, which holds a socket whose path may have 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// writePage writes the sample report as a real log directory: every file that the page links to exists.
func writePage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r := sampleReport()
	store, err := NewStore(filepath.Join(dir, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range r.Cells {
		for i := range pair {
			for _, res := range pair[i].Results {
				out, err := openRunDir(filepath.Join(store.Dir, res.Log))
				if err != nil {
					t.Fatal(err)
				}
				out.Close()
			}
		}
	}
	if err := os.WriteFile(store.preparationLog(), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := store.Finish(r); err != nil {
		t.Fatal(err)
	}
	page, err := store.PageURL()
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// look opens page in a colour scheme, without script, and returns what readPage finds.
func look(t *testing.T, ctx context.Context, page, scheme string) *pageFacts {
	t.Helper()
	want := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
	}
	want(nil, chromedp.Do(ctx, chromedp.Navigate("about:blank"))) // starts the browser
	want(chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	want(chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}))
	want(nil, chromedp.Do(ctx, chromedp.Navigate(page)))
	facts, err := chromedp.Run(ctx, chromedp.Evaluate[pageFacts](readPage))
	want(nil, err)
	return &facts
}

// pageFacts is what the expression below reads off the rendered page.
type pageFacts struct {
	Caption, Lang         string
	Columns, Rows         []string
	Badges                []badgeFacts
	Links                 []string
	Overflow              bool // the page itself scrolls sideways
	Low                   []string
	Background            string
	BadgeColours          []string
	Scripts, Focusable    int
	FailedText, FactsText string
}

type badgeFacts struct{ Text, Title, Label, Group string }

const readPage = `(() => {
  const text = e => e.innerText.trim().replace(/\s+/g, ' ');
  const rgb = s => { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3) };
  const luminance = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c } return [255, 255, 255] };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
    const a = luminance(rgb(getComputedStyle(e).color)), b = luminance(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push(e.tagName + '.' + e.className + ' "' + text(e).slice(0, 30) + '" ' + ratio.toFixed(2));
  }
  const m = document.querySelector('table.matrix');
  return {
    Caption: m.caption.innerText, Lang: document.documentElement.lang,
    Columns: [...m.querySelectorAll('thead th[scope=col]')].map(text), Rows: [...m.querySelectorAll('tbody th[scope=row]')].map(text),
    Badges: [...m.querySelectorAll('a.badge')].map(a => ({Text: text(a), Title: a.title, Label: a.getAttribute('aria-label'), Group: a.closest('ul').getAttribute('aria-label')})),
    Links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    Overflow: document.documentElement.scrollWidth > document.documentElement.clientWidth, Low: low,
    Background: getComputedStyle(document.body).backgroundColor,
    BadgeColours: ['succeeded', 'unsupported', 'failed'].map(c => getComputedStyle(m.querySelector('.' + c)).backgroundColor),
    Scripts: document.scripts.length, Focusable: document.querySelectorAll('.scroll[tabindex="0"][role=region]').length,
    FailedText: [...document.querySelectorAll('.failure')].map(text).join(' | '), FactsText: text(document.querySelector('.facts')),
  };
})()`

func TestPageInABrowser(t *testing.T) {
	page := writePage(t)
	for _, width := range []int{1200, 420} {
		t.Run(fmt.Sprintf("%d pixels wide", width), func(t *testing.T) {
			ctx := browser(t, width)
			light, dark := look(t, ctx, page, "light"), look(t, ctx, page, "dark")
			wantReadable(t, light)
			wantLinksExist(t, light.Links)
			for scheme, f := range map[string]*pageFacts{"light": light, "dark": dark} {
				if len(f.Low) > 0 {
					t.Errorf("%s: text with a contrast below 4.5: %s", scheme, strings.Join(f.Low, "; "))
				}
				if f.Overflow {
					t.Errorf("%s: the page scrolls sideways, want only the boxes of wide tables to", scheme)
				}
				if colours := slices.Compact(slices.Sorted(slices.Values(f.BadgeColours))); len(colours) != 3 {
					t.Errorf("%s: verdicts share colours: %v", scheme, f.BadgeColours)
				}
			}
			if light.Background == dark.Background || slices.Equal(light.BadgeColours, dark.BadgeColours) {
				t.Errorf("dark looks like light: background %s, badges %v", dark.Background, dark.BadgeColours)
			}
		})
	}
}

// wantReadable checks what a reader without script, colour or mouse has.
func wantReadable(t *testing.T, f *pageFacts) {
	t.Helper()
	if f.Scripts != 0 || f.Lang != "en" || f.Caption == "" {
		t.Errorf("%d scripts, language %q, caption %q; want none, en, and a caption", f.Scripts, f.Lang, f.Caption)
	}
	if got, want := fmt.Sprint(f.Columns), "[client ↓ server → quiver go-x-net quinn]"; got != want {
		t.Errorf("column heads = %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(f.Rows), "[quiver quic-go]"; got != want {
		t.Errorf("row heads = %s, want %s", got, want)
	}
	if len(f.Badges) != 12 {
		t.Fatalf("%d badges, want 12", len(f.Badges))
	}
	want := badgeFacts{"✕ S", "", "", "1 failed"}
	got := f.Badges[2]
	if got.Text != want.Text || got.Group != want.Group || !strings.Contains(got.Title, "expected the token of packet 2") || got.Label != got.Title {
		t.Errorf("third badge = %+v, want ✕ S in \"1 failed\" with the first evidence as title and label", got)
	}
	if f.Focusable < 2 {
		t.Errorf("%d boxes can be scrolled by keyboard, want every one", f.Focusable)
	}
	wantContains(t, "failed cells", f.FailedText, "--seed 4711", "token of 0 bytes")
	wantContains(t, "facts", f.FactsText, "Seed 4711", "client@v0.65.0")
}

// wantLinksExist checks every link into the log directory.
func wantLinksExist(t *testing.T, links []string) {
	t.Helper()
	local := 0
	for _, link := range links {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme != "file" {
			continue
		}
		local++
		if _, err := os.Stat(filepath.FromSlash(u.Path)); err != nil {
			t.Errorf("link %s: %v", link, err)
		}
	}
	if local < 24 {
		data, _ := json.Marshal(links)
		t.Errorf("%d links into the log directory, want those of 12 runs: %s", local, data)
	}
}

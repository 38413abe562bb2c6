package interop

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// pageView is what the template reads: plain values, every sentence ready.
type pageView struct {
	Title       string
	Summary     []pageCount
	Interrupted bool
	Facts       []pageFact
	Unavailable []string
	Servers     []Party
	Rows        []pageRow // of the matrix of tests; none when no test was selected
	Measured    []pageRow // the same of the measurements
	Tests       []pageTest
	Failures    []pageRun
	Runs        []pageRun
}

type pageCount struct {
	Mark, Word string
	Status     Status
	N          int
}

type pageFact struct{ Name, Value string }

type pageRow struct {
	Client Party
	Cells  []pageCell
}

// pageCell is one pair; Groups hold the badges by verdict, Empty says why there are none.
type pageCell struct {
	Groups []pageGroup
	Empty  string
}

type pageGroup struct {
	Status Status
	Label  string
	Badges []pageBadge
}

type pageBadge struct {
	Mark, Abbr, Title, Link string
}

type pageTest struct {
	Abbr, Name, Desc string
	Counts           []pageCount
}

type pageRun struct {
	ID, Test, Client, Server string
	Mark                     string
	Status                   Status
	Reason, Seconds          string
	Logs, Output             template.URL
	Evidence                 []Evidence
	Rerun, Hint              string
}

// Page returns the report as one HTML file that needs nothing else. Links lead to the runs' directories beside it.
func (r *Report) Page() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, r.pageView()); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return b.Bytes(), nil
}

func (r *Report) pageView() *pageView {
	v := &pageView{
		Title: "QUIC interop matrix", Interrupted: r.Interrupted, Facts: r.facts(), Unavailable: r.Unavailable(), Servers: r.Servers,
	}
	for _, m := range verdictMarks {
		v.Summary = append(v.Summary, pageCount{m.symbol, string(m.status), m.status, r.Count(m.status)})
	}
	v.Rows, v.Measured = r.pageRows(r.tests()), r.pageRows(r.measurements())
	for t := range r.Cases {
		v.Tests = append(v.Tests, r.pageTest(t))
	}
	for _, pair := range r.Cells {
		for i := range pair {
			for _, res := range pair[i].Results {
				v.Runs = append(v.Runs, r.pageRun(&pair[i], res))
			}
			if pair[i].Status() == Failed {
				v.Failures = append(v.Failures, r.pageRun(&pair[i], pair[i].Result()))
			}
		}
	}
	return v
}

// facts are the circumstances of the run, each a name and a value.
func (r *Report) facts() []pageFact {
	backend := r.Backend
	if r.BackendNote != "" {
		backend += " (" + r.BackendNote + ")"
	}
	list := []pageFact{
		{"Started", r.Start.Format("2006-01-02 15:04:05 MST")},
		{"Duration", r.End.Sub(r.Start).Round(time.Second).String()},
		{"Seed", fmt.Sprint(uint64(r.Seed))},
		{"Backend", backend},
		{"Side by side", fmt.Sprintf("%d runs", r.Jobs)},
		{"QUIC version", "0x1"},
	}
	if r.Repeat > 1 {
		list = append(list, pageFact{"Runs per cell", fmt.Sprint(r.Repeat)})
	}
	for _, v := range r.versions() {
		list = append(list, pageFact(v))
	}
	return list
}

// versions returns each implementation with what ran for it; the two roles on one line when they are the same.
func (r *Report) versions() []struct{ Name, Value string } {
	var list []struct{ Name, Value string }
	add := func(role string, parties []Party) {
		for _, p := range parties {
			if p.Version == "" {
				continue
			}
			entry := struct{ Name, Value string }{p.Name, p.Version}
			known := false
			for i := range list {
				if list[i].Name == p.Name {
					known = true
					if list[i].Value != p.Version {
						list[i].Value += ", " + p.Version
					}
				}
			}
			if !known {
				list = append(list, entry)
			}
		}
	}
	add(RoleClient, r.Clients)
	add(RoleServer, r.Servers)
	return list
}

// pageRows returns the rows of a table with the given columns of Cases.
func (r *Report) pageRows(columns []int) (rows []pageRow) {
	if len(columns) == 0 {
		return nil
	}
	for c := range r.Clients {
		row := pageRow{Client: r.Clients[c]}
		for s := range r.Servers {
			row.Cells = append(row.Cells, r.pageCell(columns, c, s))
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *Report) pageCell(columns []int, client, server int) pageCell {
	pair := r.Cells[r.Index(client, server)]
	var cell pageCell
	for _, m := range verdictMarks {
		g := pageGroup{Status: m.status}
		for _, i := range columns {
			if pair[i].Status() == m.status {
				g.Badges = append(g.Badges, r.badge(&pair[i], &r.Cases[i], m))
			}
		}
		if len(g.Badges) > 0 {
			g.Label = fmt.Sprintf("%d %s", len(g.Badges), m.status)
			cell.Groups = append(cell.Groups, g)
		}
	}
	if len(cell.Groups) == 0 {
		cell.Empty = r.whyEmpty(pair, client, server)
	}
	return cell
}

func (r *Report) whyEmpty(pair []Cell, client, server int) string {
	switch {
	case len(pair) > 0 && pair[0].Skipped:
		return "left out"
	case r.Clients[client].Unavailable != "":
		return "client unavailable"
	case r.Servers[server].Unavailable != "":
		return "server unavailable"
	}
	return "not run"
}

func (r *Report) badge(cell *Cell, c *Case, m verdictMark) pageBadge {
	res := cell.Result()
	title := fmt.Sprintf("%s, client %s, server %s: %s", c.Name, res.Client, res.Server, m.status)
	if n := len(cell.Results); n > 1 {
		title += fmt.Sprintf(" (%d of %d runs succeeded)", cell.succeeded(), n)
	}
	if res.Reason != "" {
		title += " – " + res.Reason
	}
	if len(res.Evidence) > 0 && m.status == Failed {
		title += "\n" + res.Evidence[0].String()
	}
	link := res.Log + "/"
	if res.Status == Unsupported {
		link = res.Log + "/output.txt"
	}
	text := c.Abbr
	if details := cell.Details(); c.Measures() && details != "" {
		text += ": " + details
	}
	return pageBadge{Mark: m.symbol, Abbr: text, Title: title, Link: relativeURL(link)}
}

func (c *Cell) succeeded() int {
	n := 0
	for _, res := range c.Results {
		if res.Status == Succeeded {
			n++
		}
	}
	return n
}

func (r *Report) pageTest(t int) pageTest {
	c := r.Cases[t]
	test := pageTest{Abbr: c.Abbr, Name: c.Name, Desc: c.Desc}
	for _, m := range verdictMarks {
		count := pageCount{m.symbol, string(m.status), m.status, 0}
		for _, pair := range r.Cells {
			if pair[t].Status() == m.status {
				count.N++
			}
		}
		test.Counts = append(test.Counts, count)
	}
	return test
}

func (r *Report) pageRun(cell *Cell, res Result) pageRun {
	run := pageRun{
		ID: "run-" + strings.ReplaceAll(res.Log, "/", "-"), Test: res.Test, Client: res.Client, Server: res.Server,
		Mark: markOf(res.Status).symbol, Status: res.Status, Reason: res.Reason,
		Seconds: fmt.Sprintf("%.1f", res.Duration.Seconds()),
		Logs:    template.URL(relativeURL(res.Log + "/")), Output: template.URL(relativeURL(res.Log + "/output.txt")),
		Evidence: res.Evidence, Rerun: r.Rerun(res),
	}
	if len(cell.Results) > 1 {
		run.Test += fmt.Sprintf(" #%d", res.Repetition)
	}
	if cell.AutoUnsupported {
		run.Hint = "Failed against every peer: the existing interop runner would show this cell as unsupported."
	}
	return run
}

// relativeURL makes a slash-separated path a URL relative to the page, whatever characters it has.
func relativeURL(path string) string { return (&url.URL{Path: path}).String() }

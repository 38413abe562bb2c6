package interop

import (
	"encoding/json"
	"time"
)

// The types below are result.json. The members up to "measurements" are those of the existing runner, name for name and
// in its order; what follows them, and the members of a result after "result", is ours and ignored by its page.

type resultFile struct {
	StartTime    float64                 `json:"start_time"` // Unix seconds
	EndTime      float64                 `json:"end_time"`
	LogDir       string                  `json:"log_dir"`
	Servers      []string                `json:"servers"`
	Clients      []string                `json:"clients"`
	URLs         map[string]string       `json:"urls"`
	Tests        map[string]testEntry    `json:"tests"` // by abbreviation
	QUICVersion  string                  `json:"quic_version"`
	Results      [][]resultEntry         `json:"results"` // client-major
	Measurements [][]measurementEntry    `json:"measurements"`
	Seed         Seed                    `json:"seed"`
	Repeat       int                     `json:"repeat"`
	Backend      string                  `json:"backend"`
	BackendNote  string                  `json:"backend_note,omitempty"`
	Interrupted  bool                    `json:"interrupted"`
	Parties      map[string][]Party      `json:"implementations"` // by role
	Unavailable  map[string]roleToReason `json:"unavailable"`
}

type roleToReason map[string]string

type testEntry struct {
	Name string `json:"name"`
	Desc string `json:"desc"`
}

type resultEntry struct {
	Abbr            string     `json:"abbr"`
	Name            string     `json:"name"`
	Result          *Status    `json:"result"` // null = not run
	Reason          string     `json:"reason,omitempty"`
	Evidence        []Evidence `json:"evidence,omitempty"`
	Log             string     `json:"log,omitempty"`
	Seconds         float64    `json:"seconds,omitempty"`
	Repetitions     []Status   `json:"repetitions,omitempty"` // each run's verdict, when there was more than one
	AutoUnsupported bool       `json:"auto_unsupported,omitempty"`
}

// A measurementEntry is one measurement of a pair; unlike tests, those that were not run are left out.
type measurementEntry struct {
	Name    string    `json:"name"`
	Abbr    string    `json:"abbr"`
	Result  Status    `json:"result"`
	Details string    `json:"details"` // "" unless succeeded
	Reason  string    `json:"reason,omitempty"`
	Log     string    `json:"log,omitempty"`
	Values  []float64 `json:"values_kbps,omitempty"` // by repetition
}

// JSON returns the report in the format of result.json, on one line.
func (r *Report) JSON() ([]byte, error) {
	f := resultFile{
		StartTime: unixSeconds(r.Start), EndTime: unixSeconds(r.End), LogDir: r.LogDir,
		Servers: names(r.Servers), Clients: names(r.Clients), URLs: map[string]string{}, Tests: map[string]testEntry{},
		QUICVersion: "0x1", Results: make([][]resultEntry, 0, len(r.Cells)), Measurements: make([][]measurementEntry, 0, len(r.Cells)),
		Seed: r.Seed, Repeat: r.Repeat, Backend: r.Backend, BackendNote: r.BackendNote, Interrupted: r.Interrupted,
		Parties: map[string][]Party{RoleClient: r.Clients, RoleServer: r.Servers}, Unavailable: map[string]roleToReason{},
	}
	for role, parties := range f.Parties {
		f.addParties(role, parties)
	}
	for _, c := range r.Cases {
		f.Tests[c.Abbr] = testEntry{c.Name, c.Desc}
	}
	for _, pair := range r.Cells {
		f.Results = append(f.Results, r.pairEntries(pair))
		f.Measurements = append(f.Measurements, r.pairMeasurements(pair))
	}
	return json.Marshal(&f)
}

func (f *resultFile) addParties(role string, parties []Party) {
	for _, p := range parties {
		f.URLs[p.Name] = p.URL
		if p.Unavailable == "" {
			continue
		}
		if f.Unavailable[p.Name] == nil {
			f.Unavailable[p.Name] = roleToReason{}
		}
		f.Unavailable[p.Name][role] = p.Unavailable
	}
}

func (r *Report) pairEntries(pair []Cell) []resultEntry {
	entries := make([]resultEntry, 0, len(pair))
	for _, i := range r.tests() {
		cell := &pair[i]
		e := resultEntry{Abbr: r.Cases[i].Abbr, Name: r.Cases[i].Name, AutoUnsupported: cell.AutoUnsupported}
		if res := cell.Result(); res.Status != NotRun {
			e.Result, e.Reason, e.Evidence, e.Log = &res.Status, res.Reason, res.Evidence, res.Log
			e.Seconds = res.Duration.Round(time.Millisecond).Seconds()
		}
		if len(cell.Results) > 1 {
			for _, res := range cell.Results {
				e.Repetitions = append(e.Repetitions, res.Status)
			}
		}
		entries = append(entries, e)
	}
	return entries
}

func (r *Report) pairMeasurements(pair []Cell) []measurementEntry {
	entries := []measurementEntry{}
	for _, i := range r.measurements() {
		cell := &pair[i]
		res := cell.Result()
		if res.Status == NotRun {
			continue
		}
		e := measurementEntry{
			Name: r.Cases[i].Name, Abbr: r.Cases[i].Abbr, Result: res.Status, Details: cell.Details(), Reason: res.Reason, Log: res.Log,
		}
		for _, one := range cell.Results {
			if one.Status == Succeeded {
				e.Values = append(e.Values, one.Goodput)
			}
		}
		entries = append(entries, e)
	}
	return entries
}

func names(parties []Party) []string {
	list := make([]string, 0, len(parties))
	for _, p := range parties {
		list = append(list, p.Name)
	}
	return list
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

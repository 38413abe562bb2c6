package main

import (
	"fmt"
	"testing"
)

func TestNotesAreKeptUntilThereAreTooMany(t *testing.T) {
	s := &counterpart{notes: map[string]string{}, changed: make(chan struct{})}
	for i := range maxNotes + 1 {
		s.note(fmt.Sprint(i), "text")
		s.note(fmt.Sprint(i), "again")
	}
	if len(s.notes) != maxNotes || len(s.order) != maxNotes {
		t.Errorf("%d notes, %d in order, want %d", len(s.notes), len(s.order), maxNotes)
	}
	if _, ok := s.notes["0"]; ok || s.get(fmt.Sprint(maxNotes)) != "again" {
		t.Error("it is not the oldest that was dropped")
	}
}

func TestQuestionsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, q := range questions() {
		if seen[q.name] || q.name == "" || q.about == "" || q.ask == nil {
			t.Errorf("question %q is there twice, or says nothing", q.name)
		}
		seen[q.name] = true
	}
	if _, err := chosen(questions(), "connect-open-4,nonesuch", ""); err == nil {
		t.Error("a name that is no question is accepted")
	}
	list, err := chosen(questions(), "dup,names-new", "dup")
	if err != nil || len(list) != 1 || list[0].name != "names-new" {
		t.Errorf("chosen = %v, %v, want names-new", list, err)
	}
}

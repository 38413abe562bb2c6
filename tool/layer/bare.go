package main

import (
	"encoding/json"
	"errors"
)

// bareRates reads the rates, in Mbit/s by stack, out of what quiver bench writes.
func bareRates(text []byte) (map[string]float64, error) {
	var report struct {
		Runs []struct {
			Stack   string  `json:"stack"`
			Bytes   float64 `json:"n"`
			Seconds float64 `json:"seconds"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	rates := map[string]float64{}
	for _, r := range report.Runs {
		if r.Seconds > 0 {
			rates[r.Stack] = r.Bytes * 8 / r.Seconds / 1e6
		}
	}
	if len(rates) == 0 {
		return nil, errors.New("quiver bench wrote no runs")
	}
	return rates, nil
}

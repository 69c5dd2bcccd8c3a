package logparse

import (
	"cmp"
	"slices"
)

// maxSpots is how many places of lines of an unknown shape are kept: the first, by file and line.
const maxSpots = 1 << 14

// Unrecognized lines are kept by place, so that those that were read twice count once. No place that is left out comes before
// one of the first maxSpots, so it does not matter in which order they come.
type unrecognized struct {
	list   []Unrecognized // the first tidied are sorted, and each is there once
	tidied int
	more   bool // some were left out
}

func (u *unrecognized) add(x Unrecognized) {
	if u.tidied == maxSpots && comparePlaces(x.Place, u.list[maxSpots-1].Place) > 0 {
		u.more = true
		return
	}
	u.list = append(u.list, x)
	if len(u.list) == 2*maxSpots {
		u.tidy()
	}
}

// tidy sorts the places, leaves out those that are there twice, and those that are too many.
func (u *unrecognized) tidy() {
	if u.tidied == len(u.list) {
		return
	}
	slices.SortFunc(u.list, func(a, b Unrecognized) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), cmp.Compare(b.Lines, a.Lines))
	})
	u.list = slices.CompactFunc(u.list, func(a, b Unrecognized) bool { return a.Place == b.Place })
	if len(u.list) > maxSpots {
		u.list, u.more = slices.Clip(u.list[:maxSpots]), true
	}
	u.tidied = len(u.list)
}

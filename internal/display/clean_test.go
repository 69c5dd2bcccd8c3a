package display

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"plain.example.org": "plain.example.org",
		"täst.example":      "täst.example",
		"\x1b[31mred":       `\x1b[31mred`,
		"two\nlines\r":      `two\nlines\r`,
		"\u009b\u202e\x7f":  `\u009b\u202e\x7f`,
		"\xff\xfe":          `\xff\xfe`,
		"":                  "",
	} {
		require.Equal(t, want, Clean(s))
	}
	require.Equal(t, "a\n\\n \\x1b 7", Cleanf("a\n%s %v %d", "\n", errors.New("\x1b"), 7))
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\a\u009b\u202e\xff\U000e0001")
	type record struct{ Text string }
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			require.True(t, unicode.IsPrint(r), "%q in %q", r, Clean(s))
		}
		doc, err := json.Marshal(record{s})
		require.NoError(t, err)
		var plain, safe record
		require.NoError(t, json.Unmarshal(doc, &plain))
		require.NoError(t, json.Unmarshal(CleanJSON(doc), &safe), "%s", CleanJSON(doc))
		require.Equal(t, plain, safe)
		for _, r := range string(CleanJSON(doc)) {
			require.True(t, unicode.IsPrint(r), "%q", r)
		}
	})
}

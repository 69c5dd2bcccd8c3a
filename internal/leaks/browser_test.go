package leaks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"image"
	_ "image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// A browser is Chromium without a window. No name leads anywhere in it.
type browser struct {
	t    *testing.T
	path string
}

// newBrowser skips the test where there is no Chromium, unless REQUIRE_CHROMIUM is set.
func newBrowser(t *testing.T) *browser {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return &browser{t, path}
		}
	}
	if os.Getenv("REQUIRE_CHROMIUM") != "" {
		t.Fatal("there is no chromium")
	}
	t.Skip("there is no chromium")
	return nil
}

func (b *browser) run(url string, flags ...string) string {
	b.t.Helper()
	args := append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--user-data-dir=" + b.t.TempDir(),
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--virtual-time-budget=20000",
	}, flags...)
	cmd := exec.CommandContext(b.t.Context(), b.path, append(args, url)...)
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(b.t, err, stderr.String())
	return string(out)
}

// screenshot returns the picture of a page. With LEAKS_PAGES=DIR it is kept there.
func (b *browser) screenshot(name, url string, width, height int, flags ...string) image.Image {
	dir := os.Getenv("LEAKS_PAGES")
	if dir == "" {
		dir = b.t.TempDir()
	}
	file := filepath.Join(dir, name+".png")
	b.run(url, append(flags, fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot="+file)...)
	f, err := os.Open(file)
	require.NoError(b.t, err)
	defer f.Close()
	picture, _, err := image.Decode(f)
	require.NoError(b.t, err)
	return picture
}

// A site serves a page, and a driver that uses it, and notes what is asked for.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newSite(t *testing.T, page []byte, driver string) *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.Path)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/page":
			_, _ = w.Write(page)
		case "/drive":
			fmt.Fprintf(w, "<!DOCTYPE html><link rel=icon href=data:,><iframe id=page width=1200 height=800></iframe><pre id=result></pre><script>%s</script>", driverStart+driver+driverEnd)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// The driver loads the page in a frame and does what a test says: go to an
// address, look, click. What it puts into result is for the test to see.
const driverStart = `
const frame = document.getElementById("page"), result = {};
const wait = ms => new Promise(done => setTimeout(done, ms));
const load = hash => new Promise(done => { frame.onload = () => done(); frame.src = "about:blank"; setTimeout(() => { frame.src = "/page" + hash; }, 10); })
  .then(() => wait(50)).then(() => frame.src.endsWith("blank") || frame.contentWindow.location.pathname === "/page" ? wait(100) : wait(500));
const doc = () => frame.contentDocument;
const all = selector => [...doc().querySelectorAll(selector)];
const texts = selector => all(selector).map(e => e.textContent);
const rows = () => texts("tbody tr.row td:first-child");
const setHash = async hash => { frame.contentWindow.location.hash = hash; await wait(50); };
(async () => { try {
`

const driverEnd = `
} catch (e) { result.error = String(e && e.stack || e); }
document.getElementById("result").textContent = JSON.stringify(result); })();
`

var resultText = regexp.MustCompile(`(?s)<pre id="result">(.*?)</pre>`)

// drive returns what the driver found.
func (b *browser) drive(page []byte, driver string) (map[string]any, *site) {
	b.t.Helper()
	s := newSite(b.t, page, driver)
	m := resultText.FindStringSubmatch(b.run(s.URL+"/drive", "--dump-dom"))
	require.NotNil(b.t, m)
	var result map[string]any
	require.NoError(b.t, json.Unmarshal([]byte(html.UnescapeString(m[1])), &result), m[1])
	require.Nil(b.t, result["error"])
	return result, s
}

// page is the report as a page.
func pageOf(t *testing.T, h *logparse.History) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, New(h).WriteHTML(&out, "leaks (test)"))
	return out.Bytes()
}

func list2(v any) (all []string) {
	for _, x := range v.([]any) {
		all = append(all, x.(string))
	}
	return all
}

// TestPage uses the page of a fleet in a browser: what it shows at first, and by
// address, sorted, filtered and opened.
func TestPage(t *testing.T) {
	chromium := newBrowser(t)
	result, _ := chromium.drive(pageOf(t, fleetHistory(t)), `
		await load("");
		result.headline = texts("h1")[0];
		result.tiles = texts(".tile b");
		result.leaked = rows().length;
		result.verdictChosen = doc().getElementById("verdict").value;
		await setHash("#verdict=all&sort=identifier&dir=asc");
		result.sorted = rows();
		await setHash("#verdict=all&sort=identifier&dir=desc");
		result.reversed = rows();
		await setHash("#verdict=leaked&cause=superseded");
		result.superseded = rows();
		await setHash("#verdict=all&q=CUSTOMER-0");
		result.found = rows().length;
		await setHash("#view=runs&sort=leaked&dir=desc");
		result.runs = texts("tbody tr.row td:nth-child(4)");
		await setHash("#view=domains&sort=leaked&dir=desc");
		result.domains = texts("tbody tr.row td");
		await setHash("#view=hosts&sort=leaked&dir=desc");
		result.hosts = texts("tbody tr.row td");
		await setHash("#view=authorizations&verdict=all&host=" + result.hosts[0]);
		result.ofHost = rows().length;
		await setHash("#view=nonsense&sort=nonsense&page=-7&verdict=all");
		result.nonsense = rows().length;

		await setHash("#verdict=leaked");
		all("th a")[0].click(); await wait(50);
		result.clickedSort = frame.contentWindow.location.hash;
		result.ariaSort = all("th")[0].getAttribute("aria-sort");
		const box = doc().getElementById("q");
		box.value = "bad."; box.dispatchEvent(new Event("input")); await wait(400);
		result.typed = rows();
		all("tbody tr.row button")[0].click(); await wait(20);
		result.detail = texts("tr.detail dd");
		all("tbody tr.row button")[0].click(); await wait(20);
		result.closed = all("tr.detail").length;
		const verdict = doc().getElementById("verdict");
		verdict.value = "valid"; verdict.dispatchEvent(new Event("change")); await wait(50);
		result.changed = frame.contentWindow.location.hash;
		await setHash("#verdict=all");
		result.buckets = all("#chart .bucket").length;
		all("#chart .bucket")[0].dispatchEvent(new Event("click")); await wait(50);
		result.bucket = rows().length;

		frame.width = 390; await wait(100);
		result.overflow = doc().documentElement.scrollWidth - doc().documentElement.clientWidth;
	`)
	require.Equal(t, "27 of 40 authorizations were left pending, by 5 runs on 3 hosts.", result["headline"])
	require.Equal(t, []string{"27", "7", "2", "4"}, list2(result["tiles"]))
	require.EqualValues(t, 27, result["leaked"])
	require.Equal(t, "leaked", result["verdictChosen"])
	sorted := list2(result["sorted"])
	require.Len(t, sorted, 40)
	require.IsIncreasing(t, dedupe(sorted))
	require.IsDecreasing(t, dedupe(list2(result["reversed"])))
	require.Equal(t, []string{"bad.twice.example.com"}, list2(result["superseded"]))
	require.EqualValues(t, 9, result["found"])
	require.Equal(t, []string{"20", "2", "2", "2", "1", "0", "0", "0", "0", "0", "0"}, list2(result["runs"]))
	require.Equal(t, []string{"example.com", "27", "35"}, list2(result["domains"])[:3])
	hosts := list2(result["hosts"])
	require.Equal(t, []string{"twenty-names-killed", "20", "20"}, hosts[:3])
	require.EqualValues(t, 20, result["ofHost"])
	require.EqualValues(t, 40, result["nonsense"])
	require.Equal(t, "#verdict=leaked&view=authorizations&sort=identifier&dir=asc", result["clickedSort"])
	require.Equal(t, "ascending", result["ariaSort"])
	require.Equal(t, []string{"bad.twice.example.com"}, list2(result["typed"]))
	require.Contains(t, strings.Join(list2(result["detail"]), "\n"), "letsencrypt.log:1563: then asked for 3 names")
	require.EqualValues(t, 0, result["closed"])
	require.Contains(t, result["changed"], "verdict=valid")
	require.Positive(t, result["buckets"])
	require.Less(t, result["bucket"], float64(40))
	require.Positive(t, result["bucket"])
	require.LessOrEqual(t, result["overflow"], float64(0))
}

func dedupe(sorted []string) (all []string) {
	for _, s := range sorted {
		if len(all) == 0 || all[len(all)-1] != s {
			all = append(all, s)
		}
	}
	return all
}

// TestPageFile opens the page as a file, as people do, and looks at it in light
// and dark, wide and narrow.
func TestPageFile(t *testing.T) {
	chromium := newBrowser(t)
	file := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(file, pageOf(t, fleetHistory(t)), 0o600))
	url := "file://" + file
	dom := chromium.run(url+"#verdict=leaked&sort=identifier&dir=desc", "--dump-dom")
	require.Equal(t, 27, strings.Count(dom, `<tr class="row">`))
	require.Less(t, strings.Index(dom, "q2.rl.example.com</button>"), strings.Index(dom, "bad.twice.example.com</button>"))

	light := chromium.screenshot("light", url, 1280, 1100)
	dark := chromium.screenshot("dark", url, 1280, 1100, "--blink-settings=preferredColorScheme=0")
	require.Greater(t, brightness(light), 0.8)
	require.Less(t, brightness(dark), 0.25)
}

// brightness is that of the corner of a picture, from 0 to 1.
func brightness(picture image.Image) float64 {
	r, g, b, _ := picture.At(3, 3).RGBA()
	return float64(r+g+b) / 3 / 0xffff
}

// TestHostilePage has a page whose every string wants to be more than text. It
// stays text, and the page asks for nothing, also if something in it wanted to.
func TestHostilePage(t *testing.T) {
	chromium := newBrowser(t)
	page := pageOf(t, hostileHistory())
	for _, c := range []string{"\x1b", "\u009b", "\u202e", "\u2028", "<img", "</script><script>window"} {
		require.False(t, bytes.Contains(page, []byte(c)), "%q", c)
	}
	result, s := chromium.drive(page, `
		await load("#verdict=all");
		result.rows = rows();
		for (const b of all("tbody tr.row button")) b.click();
		await wait(50);
		result.text = texts("tbody").join("\n");
		await setHash("#view=runs"); for (const b of all("tbody tr.row button")) b.click();
		result.runs = texts("tbody").join("\n");
		await setHash("#view=domains&verdict=all");
		result.domains = texts("tbody").join("\n");
		result.elements = all("img, iframe, object, embed, link[rel=stylesheet], base, form[action], body script").map(e => e.tagName);
		result.pwned = String(frame.contentWindow.pwned);
		const script = doc().createElement("script"); script.textContent = "window.injected = 1"; doc().body.append(script);
		result.injected = String(frame.contentWindow.injected);
		const image = doc().createElement("img"); image.src = "/leak"; doc().body.append(image);
		result.fetch = await frame.contentWindow.fetch("/leak").then(() => "allowed", () => "refused");
		await wait(200);
	`)
	require.Len(t, list2(result["rows"]), 4)
	require.Contains(t, result["text"], "</script><script>window.pwned=1</script>")
	require.Contains(t, result["text"], `\u{1b}[2J`)
	require.Contains(t, result["text"], `\u{202e}`)
	require.Contains(t, result["runs"], "<img src=x onerror=window.pwned=1>")
	require.NotContains(t, result["text"], "\x1b")
	require.Equal(t, []string{"SCRIPT", "SCRIPT"}, list2(result["elements"]), "the report and the program")
	require.Equal(t, "undefined", result["pwned"])
	require.Equal(t, "undefined", result["injected"])
	require.Equal(t, "refused", result["fetch"])
	require.Equal(t, []string{"/drive", "/page"}, s.asked)
}

// TestLargePage has ten thousand authorizations over half a year, a hundred of
// which are in the document at a time.
func TestLargePage(t *testing.T) {
	chromium := newBrowser(t)
	page := pageOf(t, largeHistory(10_000))
	if dir := os.Getenv("LEAKS_PAGES"); dir != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "large.html"), page, 0o600))
	}
	result, _ := chromium.drive(page, `
		await load("#verdict=all&sort=identifier&dir=asc");
		result.rows = rows().length;
		result.first = rows()[0];
		result.chips = texts("#chips")[0];
		await setHash("#verdict=all&sort=identifier&dir=asc&page=100");
		result.last = rows()[99];
		result.pages = texts("#pages")[0];
		const start = frame.contentWindow.performance.now();
		await setHash("#verdict=all&q=name-09999");
		result.found = rows();
		result.buckets = all("#chart .bucket").length;
	`)
	require.EqualValues(t, 100, result["rows"])
	require.Equal(t, "name-00000.d000.example", result["first"])
	require.Equal(t, "1 to 100 of 10000", result["chips"])
	require.Equal(t, "name-09999.d099.example", result["last"])
	require.Equal(t, "page 100 of 100← previous", result["pages"])
	require.Equal(t, []string{"name-09999.d099.example"}, list2(result["found"]))
	require.Greater(t, result["buckets"], 5.0)
}

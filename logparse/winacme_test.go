package logparse

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// postedJWS returns a request to url as the clients send it that log that.
func postedJWS(url, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	protected := fmt.Sprintf(`{"alg":"ES256","nonce":"n","url":%q,"kid":"https://ca.example/acme/acct/1"}`, url)
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":"c2ln"}`, encode([]byte(protected)), encode([]byte(payload)))
}

func TestWinACME(t *testing.T) { testLogs(t, winACMELogs()) }

func winACMELogs() []logTest {
	const at = `2026-11-23 21:18:41.123 +01:00 `
	post := func(url, payload string) string {
		return at + `[VRB] [HTTP] Request content: ` + postedJWS(url, payload)
	}
	return []logTest{
		{
			name: "the file of a run in which a challenge fails",
			log: []string{
				at + `[VRB] Arguments: --renew --baseuri "https://ca.example/"`,
				at + `[INF] Software version 2.2.9.1701 (release, trimmed, standalone, 64-bit) started`,
				at + `[DBG] [HTTP] Send GET to "https://ca.example/directory"`,
				at + `[VRB] [HTTP] Request completed with status "OK"`,
				at + `[VRB] [HTTP] Response content: {"newOrder":"https://ca.example/acme/new-order"}`,
				at + `[VRB] Creating order for identifiers: ["a.example","b.example"] (notAfter: null, previous: [none])`,
				at + `[DBG] [HTTP] Send POST to "https://ca.example/acme/new-order"`,
				post("https://ca.example/acme/new-order", `{}`),
				at + `[VRB] [HTTP] Request completed with status "Created"`,
				at + `[VRB] [HTTP] Response content: {`,
				`  "status": "pending", "identifiers": [{"type":"dns","value":"a.example"},{"type":"dns","value":"b.example"}],`,
				`  "authorizations": ["https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"],`,
				`  "finalize": "https://ca.example/acme/finalize/1/9"`,
				`}`,
				at + `[VRB] Order "https://ca.example/acme/order/1/9" created`,
				at + `[DBG] [HTTP] Send POST to "https://ca.example/acme/authz/1/2"`,
				post("https://ca.example/acme/authz/1/2", ``),
				at + `[VRB] [HTTP] Request completed with status "OK"`,
				at + `[VRB] [HTTP] Response content: {"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[]}`,
				at + `[INF] [a.example] Authorizing...`,
				at + `[INF] [a.example] Authorizing using http-01 validation (SelfHosting)`,
				at + `[DBG] [a.example] Submitting challenge answer`,
				at + `[DBG] [HTTP] Send POST to "https://ca.example/acme/chall/1/2/abc"`,
				post("https://ca.example/acme/chall/1/2/abc", `{}`),
				at + `[VRB] [HTTP] Request completed with status "OK"`,
				at + `[VRB] [HTTP] Response content: {"type":"http-01","status":"invalid","url":"https://ca.example/acme/chall/1/2/abc","error":{"type":"urn:ietf:params:acme:error:dns","detail":"no such name"}}`,
				at + `[ERR] [a.example] Authorization result: invalid`,
				at + `[ERR] [a.example] {"type":"urn:ietf:params:acme:error:dns","detail":"no such name"}`,
				at + `[INF] [b.example] Deactivating pending authorization`,
				at + `[DBG] [HTTP] Send POST to "https://ca.example/acme/authz/1/3"`,
				post("https://ca.example/acme/authz/1/3", `{"status":"deactivated"}`),
				at + `[VRB] [HTTP] Request completed with status "OK"`,
				at + `[VRB] [HTTP] Response content: {"status":"deactivated","identifier":{"type":"dns","value":"b.example"}}`,
				at + `[ERR] Renewal for a.example failed, will retry on next run`,
				at + `[ERR] Validation failed`,
				at + `[VRB] Exiting with status code -1`,
			},
			want: []string{
				`line 2: run started time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" version=2.2.9.1701 command="--renew --baseuri \"https://ca.example/\""`,
				`line 10: order time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" order=https://ca.example/acme/order/1/9 status=pending name=a.example name=b.example authorization=https://ca.example/acme/authz/1/2 authorization=https://ca.example/acme/authz/1/3`,
				`line 19: authorization time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=pending`,
				`line 26: challenge answered time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" authorization=https://ca.example/acme/authz/1/2 challenge=https://ca.example/acme/chall/1/2/abc type=http-01 challengeStatus=invalid`,
				`line 26: authorization time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" authorization=https://ca.example/acme/authz/1/2 status=invalid problem=urn:ietf:params:acme:error:dns detail="no such name" challenge=https://ca.example/acme/chall/1/2/abc type=http-01 challengeStatus=invalid`,
				`line 33: deactivated time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" authorization=https://ca.example/acme/authz/1/3 identifier=b.example status=deactivated`,
				`line 36: run ended time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 2" exit="status -1"`,
			},
		},
		{
			name: "the console of a run with success",
			log: []string{
				` A simple Windows ACMEv2 client (WACS)`,
				` Software version 2.2.9.1701 (release, trimmed, standalone, 64-bit)`,
				` Connecting to https://ca.example/...`,
				` Plugin Manual generated source a.example with 2 identifiers`,
				` Plugin Single created 1 order`,
				` [a.example] Cached authorization result: valid`,
				` [b.example] Authorizing...`,
				` [b.example] Authorizing using dns-01 validation (Script)`,
				` [b.example] Authorization result: valid`,
				` Downloading certificate [Manual] a.example`,
				` Store with CertificateStore...`,
				` Certificate [Manual] a.example created`,
			},
			want: []string{
				`line 2: run started client=win-acme run="line 2" version=2.2.9.1701`,
				`line 6: order client=win-acme run="line 2" order="line 6"`,
				`line 6: authorization client=win-acme run="line 2" in="line 6" identifier=a.example status=valid`,
				`line 7: authorization client=win-acme run="line 2" in="line 6" identifier=b.example status=pending`,
				`line 9: authorization client=win-acme run="line 2" in="line 6" identifier=b.example status=valid`,
				`line 10: order client=win-acme run="line 2" order="line 6" status=valid`,
				`line 12: run ended client=win-acme run="line 2"`,
			},
		},
		{
			name: "the console of runs with --verbose that fail, the last one killed",
			log: []string{
				` [INFO] Software version 2.1.20.1185 (release, trimmed, standalone, 64-bit)`,
				` [VERB] Source converted into 1 order(s)`,
				` [VERB] Creating order for hosts: ["a.example", "b.example"]`,
				` [DBUG] Send POST to https://ca.example/acme/new-order`,
				` [VERB] Request completed with status Created`,
				` [VERB] Order https://ca.example/acme/order/1/9 created`,
				` [INFO] [a.example] Authorizing...`,
				` [INFO] [a.example] Authorizing using http-01 validation (SelfHosting)`,
				` [DBUG] [a.example] Submitting challenge answer`,
				` [EROR] [a.example] Authorization result: invalid`,
				` [EROR] [a.example] {`,
				`  "type": "urn:ietf:params:acme:error:unauthorized",`,
				`  "detail": "wrong answer",`,
				`  "status": 403`,
				`}`,
				` [INFO] [b.example] Deactivating pending authorization`,
				` [DBUG] Send POST to https://ca.example/acme/authz/1/3`,
				` [EROR] Create certificate failed`,
				` [INFO] Software version 2.1.20.1185 (release, trimmed, standalone, 64-bit)`,
				` [VERB] Source converted into 1 order(s)`,
				` [INFO] [b.example] Authorizing...`,
				` [INFO] [b.example] Authorizing using dns-01 validation (Azure)`,
				` [EROR] [b.example] Error preparing for challenge answer`,
				` [INFO] [b.example] Deactivating pending authorization`,
				` [EROR] Unable to deactivate authorizations`,
				` [VERB] Starting post-validation cleanup`,
			},
			want: []string{
				`line 1: run started client=win-acme run="line 1" version=2.1.20.1185`,
				`line 6: order client=win-acme run="line 1" order=https://ca.example/acme/order/1/9 name=a.example name=b.example`,
				`line 7: authorization client=win-acme run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example status=pending`,
				`line 9: challenge answered client=win-acme run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example type=http-01`,
				`line 10: authorization client=win-acme run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example status=invalid problem=urn:ietf:params:acme:error:unauthorized httpStatus=403 detail="wrong answer"`,
				`line 16: deactivated client=win-acme run="line 1" in=https://ca.example/acme/order/1/9 identifier=b.example`,
				`line 17: authorization client=win-acme run="line 1" authorization=https://ca.example/acme/authz/1/3`,
				`line 18: run ended client=win-acme run="line 1" exit=error message="Create certificate failed"`,
				`line 19: run started client=win-acme run="line 19" version=2.1.20.1185`,
				`line 21: order client=win-acme run="line 19" order="line 21"`,
				`line 21: authorization client=win-acme run="line 19" in="line 21" identifier=b.example status=pending`,
				`line 23: failure client=win-acme run="line 19" cause="dns provider" message="Error preparing for challenge answer" order="line 21" in="line 21" identifier=b.example`,
				`line 24: authorization client=win-acme run="line 19" in="line 21" identifier=b.example`,
				`line 26: run stopped client=win-acme run="line 19" message="Starting post-validation cleanup"`,
			},
		},
		{
			name: "rate limited, and a CA that is not reached",
			log: []string{
				at + `[INF] Software version 2.2.9.1701 (release, pluggable, standalone, 64-bit) started`,
				at + `[DBG] [HTTP] Send POST to "https://ca.example/acme/new-order"`,
				post("https://ca.example/acme/new-order", `{}`),
				at + `[WRN] [HTTP] Request completed with status "TooManyRequests"`,
				at + `[VRB] [HTTP] Response content: {"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}`,
				at + `[ERR] Failed to create order: too many`,
				at + `[ERR] Renewal for a.example failed, will retry on next run`,
				at + `[INF] Renewing [Manual] b.example`,
				at + `[ERR] (HttpRequestException): No such host is known.`,
				`   at System.Net.Http.HttpClient.Send()`,
				at + `[ERR] Renewal for b.example failed, will retry on next run`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 1" version=2.2.9.1701`,
				`line 5: problem time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 1" problem=urn:ietf:params:acme:error:rateLimited httpStatus=429 detail="too many" request=https://ca.example/acme/new-order`,
				`line 9: failure time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 1" cause=network message="(HttpRequestException): No such host is known."`,
				`line 11: run ended time=2026-11-23T20:18:41.123Z client=win-acme account=https://ca.example/acme/acct/1 run="line 1" exit=error message="Renewal for b.example failed, will retry on next run"`,
			},
		},
		{
			name: "version 2.0",
			log: []string{
				` [INFO] Authorize identifier: a.example`,
				` [INFO] Authorizing a.example using http-01 validation (SelfHosting)`,
				` [DBUG] Submitting challenge answer`,
				` [EROR] Authorization result: invalid`,
			},
			want: []string{
				`line 1: run started client=win-acme run="line 1"`,
				`line 2: authorization client=win-acme run="line 1" identifier=a.example status=pending`,
				`line 3: challenge answered client=win-acme run="line 1" identifier=a.example`,
				`line 4: authorization client=win-acme run="line 1" identifier=a.example status=invalid`,
				`line 4: run stopped client=win-acme run="line 1" message="Authorization result: invalid"`,
			},
		},
	}
}

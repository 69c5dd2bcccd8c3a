package logparse

import "testing"

func TestTerraform(t *testing.T) { testLogs(t, terraformLogs()) }

func terraformLogs() []logTest {
	const (
		at   = `2026-11-23T21:18:41.123+0100 `
		lego = at + `[INFO]  provider.terraform-provider-acme_v2.48.3: 2026/11/23 21:18:41 [DEBUG] lego: `
		tail = `: timestamp=2026-11-23T21:18:41.123+0100`
	)
	return []logTest{
		{
			name: "two certificates at once, one fails",
			log: []string{
				at + `[INFO]  Terraform version: 1.9.0`,
				at + `[INFO]  CLI args: []string{"terraform", "apply"}`,
				lego + `acme: Trying to resolve account by key` + tail,
				lego + `[a.example] acme: Obtaining bundled SAN certificate` + tail,
				lego + `[b.example, c.example] acme: Obtaining bundled SAN certificate` + tail,
				lego + `[a.example] AuthURL: https://ca.example/acme/authz/1/2` + tail,
				lego + `[b.example] AuthURL: https://ca.example/acme/authz/1/3` + tail,
				lego + `[c.example] AuthURL: https://ca.example/acme/authz/1/4` + tail,
				lego + `[a.example] The server validated our request` + tail,
				lego + `[a.example] Server responded with a certificate.` + tail,
				lego + `Deactivating auth: https://ca.example/acme/authz/1/3` + tail,
				lego + `Unable to deactivate the authorization: https://ca.example/acme/authz/1/3` + tail,
				lego + `Deactivating auth: https://ca.example/acme/authz/1/4` + tail,
				at + `[ERROR] vertex "acme_certificate.b" error: error creating certificate: error: one or more domains had a problem:`,
				`[b.example] invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:dns :: no such name`,
				``,
				at + `[ERROR] vertex "acme_certificate.b (expand)" error: error creating certificate: error: one or more domains had a problem:`,
				`[b.example] invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:dns :: no such name`,
				at + `[INFO]  provider: plugin process exited: plugin=/x/terraform-provider-acme_v2.48.3 id=42`,
				`│ Error: error creating certificate: error: one or more domains had a problem:`,
				`│ [b.example] invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:dns :: no such name`,
			},
			want: []string{
				`line 1: unrecognized time=2026-11-23T20:18:41.123Z client="terraform acme" lines=2`,
				`line 3: run started time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" version=v2.48.3`,
				`line 4: order time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" order="line 4" name=a.example`,
				`line 5: order time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" order="line 5" name=b.example name=c.example`,
				`line 6: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" authorization=https://ca.example/acme/authz/1/2 in="line 4"`,
				`line 6: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" in="line 4" identifier=a.example status=pending`,
				`line 7: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" authorization=https://ca.example/acme/authz/1/3 in="line 5"`,
				`line 7: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" in="line 5" identifier=b.example status=pending`,
				`line 8: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" authorization=https://ca.example/acme/authz/1/4 in="line 5"`,
				`line 8: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" in="line 5" identifier=c.example status=pending`,
				`line 9: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" in="line 4" identifier=a.example status=valid`,
				`line 10: order time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" order="line 4" status=valid`,
				`line 11: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" authorization=https://ca.example/acme/authz/1/3 in="line 5"`,
				`line 13: deactivated time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" authorization=https://ca.example/acme/authz/1/4 in="line 5"`,
				`line 15: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" in="line 5" identifier=b.example status=invalid problem=urn:ietf:params:acme:error:dns httpStatus=400 detail="no such name"`,
				`line 14: run ended time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 3" exit=error message="error creating certificate: error: one or more domains had a problem:"`,
			},
		},
		{
			name: "success, then another run that is killed",
			log: []string{
				lego + `[a.example] acme: Obtaining bundled SAN certificate` + tail,
				lego + `[a.example] Server responded with a certificate.` + tail,
				at + `[INFO]  provider: plugin process exited: plugin=/x/terraform-provider-acme_v2.48.3 id=42`,
				at + `[INFO]  Terraform version: 1.9.0`,
				at + `[INFO]  CLI args: []string{"terraform", "apply"}`,
				lego + `[b.example] acme: Obtaining bundled SAN certificate` + tail,
				lego + `[b.example] AuthURL: https://ca.example/acme/authz/1/3` + tail,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 1" version=v2.48.3`,
				`line 1: order time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 1" order="line 1" name=a.example`,
				`line 2: order time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 1" order="line 1" status=valid`,
				`line 3: run ended time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 1"`,
				`line 6: run started time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 6" version=v2.48.3 command="terraform apply"`,
				`line 6: order time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 6" order="line 6" name=b.example`,
				`line 7: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 6" authorization=https://ca.example/acme/authz/1/3 in="line 6"`,
				`line 7: authorization time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 6" in="line 6" identifier=b.example status=pending`,
				`line 7: run stopped time=2026-11-23T20:18:41.123Z client="terraform acme" run="line 6" message="[b.example] AuthURL: https://ca.example/acme/authz/1/3"`,
			},
		},
		{
			name: "JSON",
			log: []string{
				`{"@level":"info","@message":"2026/11/23 21:18:41 [DEBUG] lego: [a.example] acme: Obtaining bundled SAN certificate","@module":"provider.terraform-provider-acme_v2.48.3","@timestamp":"2026-11-23T21:18:41.123456+01:00","timestamp":"x"}`,
				`{"@level":"info","@message":"2026/11/23 21:18:41 [DEBUG] lego: [a.example] AuthURL: https://ca.example/acme/authz/1/2","@module":"provider.terraform-provider-acme_v2.48.3","@timestamp":"2026-11-23T21:18:41.123456+01:00","timestamp":"x"}`,
				`{"@level":"error","@message":"vertex \"acme_certificate.a\" error: error creating certificate: error: one or more domains had a problem:\n[a.example] acme: error presenting token: no such zone\n","@timestamp":"2026-11-23T21:18:41.123456+01:00"}`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123456Z client="terraform acme" run="line 1" version=v2.48.3`,
				`line 1: order time=2026-11-23T20:18:41.123456Z client="terraform acme" run="line 1" order="line 1" name=a.example`,
				`line 2: authorization time=2026-11-23T20:18:41.123456Z client="terraform acme" run="line 1" authorization=https://ca.example/acme/authz/1/2 in="line 1"`,
				`line 2: authorization time=2026-11-23T20:18:41.123456Z client="terraform acme" run="line 1" in="line 1" identifier=a.example status=pending`,
				`line 3: failure time=2026-11-23T20:18:41.123456Z client="terraform acme" run="line 1" cause="dns provider" message="acme: error presenting token: no such zone" order="line 1" in="line 1" identifier=a.example`,
				`line 3: run ended time=2026-11-23T20:18:41.123456Z client="terraform acme" run="line 1" exit=error message="error creating certificate: error: one or more domains had a problem:"`,
			},
		},
		{
			name: "the console, rate limited",
			log: []string{
				`acme_certificate.a: Creating...`,
				`╷`,
				`│ Error: error creating certificate: acme: error: 429 :: POST :: https://ca.example/acme/new-order :: urn:ietf:params:acme:error:rateLimited :: too many`,
				`│ `,
				`│   with acme_certificate.a,`,
				`╵`,
			},
			want: []string{
				`line 3: run started client="terraform acme" run="line 3"`,
				`line 3: problem client="terraform acme" run="line 3" problem=urn:ietf:params:acme:error:rateLimited httpStatus=429 detail="too many" request=https://ca.example/acme/new-order`,
				`line 1: unrecognized client="terraform acme" lines=2`,
				`line 3: run ended client="terraform acme" run="line 3" exit=error message="acme: error: 429 :: POST :: https://ca.example/acme/new-order :: urn:ietf:params:acme:error:rateLimited :: too many"`,
			},
		},
	}
}

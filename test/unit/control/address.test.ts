import { expect, test } from "vitest";
import { addressRefusal } from "../../../control/address";

test.each([
	"https://hooks.example.com/tidegate",
	"https://hooks.example.com:443/tidegate?team=shop",
	"https://EXAMPLE.com./x",
	"https://example.com/#part",
	"https://xn--bcher-kva.example",
	"https://bücher.example",
	"https://8.8.8.8/hook",
	"https://172.15.0.1",
	"https://172.32.0.1",
	"https://100.63.255.255",
	"https://[2606:4700::1111]/hook",
	"https://localhost.example.com",
	"https://internal.example.com",
])("%s may be told", (url) => expect(addressRefusal(url, false)).toBeUndefined());

test.each<[url: string, why: string]>([
	["", "https"],
	["example.com", "https"],
	["http://example.com", "https"],
	["ftp://example.com", "https"],
	["javascript:alert(1)", "https"],
	["https://", "https"],
	["https://user@example.com", "user"],
	["https://:word@example.com", "password"],
	["https://example.com:8443", "port 8443 is not 443"],
	["https://example.com:22", "port 22"],
	["https://example.com:80", "port 80"],
	["https://localhost", "localhost is not on the public Internet"],
	["https://LOCALHOST./", "public"],
	["https://a.localhost", "public"],
	["https://printer.local", "public"],
	["https://metadata.google.internal/computeMetadata", "public"],
	["https://nas.lan", "public"],
	["https://router.home.arpa", "public"],
	["https://intranet", "public"],
	["https://127.0.0.1", "public"],
	["https://127.255.255.254", "public"],
	["https://127.1", "public"],
	["https://2130706433", "public"],
	["https://0x7f000001", "public"],
	["https://0x7f.1", "public"],
	["https://0177.0.0.1", "public"],
	["https://127.0.0.1.", "public"],
	["https://１２７.0.0.1", "public"],
	["https://127。0。0。1", "public"],
	["https://0.0.0.0", "public"],
	["https://0/", "public"],
	["https://10.1.2.3", "public"],
	["https://172.16.0.1", "public"],
	["https://172.31.255.255", "public"],
	["https://192.168.1.1", "public"],
	["https://169.254.169.254/latest/meta-data", "public"],
	["https://100.64.0.1", "public"],
	["https://192.0.2.1", "public"],
	["https://198.18.0.1", "public"],
	["https://224.0.0.1", "public"],
	["https://255.255.255.255", "public"],
	["https://[::]", "public"],
	["https://[::1]", "public"],
	["https://[0:0:0:0:0:0:0:1]", "public"],
	["https://[::ffff:127.0.0.1]", "public"],
	["https://[::ffff:a00:1]", "public"],
	["https://[::127.0.0.1]", "public"],
	["https://[64:ff9b::7f00:1]", "public"],
	["https://[2002:7f00:1::]", "public"],
	["https://[2001::1]", "public"],
	["https://[2001:db8::1]", "public"],
	["https://[fc00::1]", "public"],
	["https://[fd12:3456::1]", "public"],
	["https://[fe80::1]", "public"],
	["https://[ff02::1]", "public"],
	[`https://example.com/${"x".repeat(2_000)}`, "2020 characters > limit 2000"],
])("%s may not, and why is said", (url, why) => expect(addressRefusal(url, false)).toContain(why));

test.each(["http://127.0.0.1:8080/hook", "http://localhost:3000", "https://10.0.0.1", "http://[::1]:9/", "https://example.com:8443"])(
	"a local instance may tell %s",
	(url) => {
		expect(addressRefusal(url, true)).toBeUndefined();
		expect(addressRefusal(url, false)).toBeDefined();
	},
);

test.each(["ftp://127.0.0.1", "file:///etc/passwd", "http://user:word@127.0.0.1", "nothing"])("and not even that may tell %s", (url) =>
	expect(addressRefusal(url, true)).toBeDefined(),
);

import { describe, expect, test } from "vitest";
import { environmentOf, noHosts } from "../../../worker/gateway/hosts";
import type { Head } from "../../../core/wire";

const environment = (hosts: readonly string[]): Head["environments"][string] => ({
	version: 1,
	digest: "",
	overlay: { kill: [], baseline: [] },
	publishedAtMs: 0,
	guardedAtMs: 0,
	hosts,
});
const head: Head = {
	revision: 1,
	environments: {
		production: environment(["shop.example", "shop.example:8443"]),
		staging: environment(["staging.example", "shop.example"]),
	},
	keys: {},
};

describe("the environment that has a URL's host", () => {
	test.each([
		["http://shop.example/", "production"],
		["http://shop.example", "production"],
		["https://SHOP.Example/x", "production"],
		["http://shop.example:80/", "production"],
		["https://shop.example:443/", "production"],
		["https://shop.example:0443/", "production"],
		["https://shop.example./", "production"],
		["https://shop.example.:443/", "production"],
		["https://user:word@shop.example/", "production"],
		["https://shop%2eexample/", "production"],
		["https://shop.example:8443/", "production"],
		["https://shop.example.:8443/", "production"],
		["https://staging.example/", "staging"],
		["https://shop.example:443@evil.example/", undefined],
		["https://evil.example/shop.example", undefined],
		["https://evil.example/@shop.example", undefined],
		["https://evil.example?shop.example", undefined],
		["https://evil.example#@shop.example", undefined],
		["https://shop.example../", undefined],
		["https://shop.example:8444/", undefined],
		["https://shop.example:99999/", undefined],
		["https://[::1]/", undefined],
		["https:///", undefined],
		["http://a*", undefined],
	])("%s: %s", (url, name) => expect(environmentOf(noHosts(), head, url)).toBe(name));

	test("is looked up anew with each head, and there is none without", () => {
		const hosts = noHosts();
		expect(environmentOf(hosts, undefined, "https://shop.example/")).toBeUndefined();
		expect(environmentOf(hosts, head, "https://shop.example/")).toBe("production");
		expect(environmentOf(hosts, { ...head, environments: {} }, "https://shop.example/")).toBeUndefined();
	});
});

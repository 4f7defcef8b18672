import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { route } from "../../../core/gateway/model";
import { packRoute } from "../../../core/gateway/model";
import type { PackedRoute } from "../../../core/gateway/packed";
import { comparable, comparePaths, matchesPath, parsePath, partsOf } from "../../../core/gateway/path";
import { choose, conflict, routesOf } from "../../../core/gateway/routes";

const HOST = "shop.example.com";
const aRoute = (key: string, path: string, methods?: readonly string[]): PackedRoute =>
	packRoute(route.parse({ key, host: HOST, path, origin: "https://origin.example.com", ...(methods ? { methods } : {}) }));
const routed = (routes: readonly PackedRoute[], path: string, method = "GET"): string => {
	const choice = choose(routesOf({ routes, protections: [] }), HOST, path, method);
	return choice.kind === "route" ? choice.route.key : choice.kind;
};

describe("a path", () => {
	test.each([
		["/", []],
		["/*", ["*"]],
		["/a", ["a"]],
		["/a/", ["a", ""]],
		["/users/:id/*", ["users", ":", "*"]],
		["/a%20b", ["a%20b"]],
	])("%s is read", (text, parts) => expect(parsePath(text)).toEqual(parts));

	test.each(["", "a", "/a//b", "/*/a", "/:", "/:1", "/a b", "/a?b", "/a#b", "/ü", `/${"a".repeat(500)}`])("%s is none", (text) =>
		expect(parsePath(text)).toBeUndefined(),
	);

	test.each([
		["/a/*", "/a", true],
		["/a/*", "/a/", true],
		["/a/*", "/a/b/c", true],
		["/a/*", "/ab", false],
		["/:id", "/", false],
		["/:id", "/x", true],
		["/:id", "/x/", false],
		["/a", "/a/", false],
		["/a", "/A", false],
		["/", "/", true],
		["/", "/x", false],
		["/a/b", "/a/%62", true],
		["/%61/b", "/a/b", true],
		["/a%2fb", "/a%2Fb", true],
		["/a/b", "/a%2Fb", false],
		["/a/b", "/a/%2562", false],
		["/a/%", "/a/%", true],
		["/%2F", "/%%32F", false],
	])("%s and a request of %s: %s", (path, request, matches) =>
		expect(matchesPath(parsePath(path) ?? [], partsOf(comparable(request)))).toBe(matches),
	);

	test("has one spelling, in which it means what it meant, and which is its own", () => {
		const escape = fc.integer({ min: 0, max: 255 }).chain((byte) => {
			const hex = byte.toString(16).padStart(2, "0");
			return fc.constantFrom(`%${hex}`, `%${hex.toUpperCase()}`);
		});
		const paths = fc.array(fc.oneof(escape, fc.constantFrom("a", "/", "%", "2", "F", "-", "~"))).map((parts) => `/${parts.join("")}`);
		fc.assert(
			fc.property(paths, (path) => {
				const one = comparable(path);
				expect(unescape(one)).toBe(unescape(path));
				if (!/%(?![0-9A-Fa-f]{2})/.test(path)) expect(comparable(one)).toBe(one);
				expect(partsOf(one)).toHaveLength(partsOf(path).length);
			}),
		);
	});
});

describe("of several routes", () => {
	test("the longest match wins: a text before a part of any text, that before the rest, and the exact path before what goes on", () => {
		const routes = ["/*", "/a", "/a/*", "/a/:id", "/a/b", "/a/:id/c", "/:any/b/c"].map((path) =>
			aRoute(`r${path.replace(/\W/g, "_")}`, path),
		);
		const chosen = Object.fromEntries(
			["/x", "/a", "/a/x", "/a/b", "/a/b/c", "/a/b/d", "/z/b/c"].map((path) => [path, routed(routes, path)]),
		);
		expect(chosen).toEqual({
			"/x": "r__",
			"/a": "r_a",
			"/a/x": "r_a__id",
			"/a/b": "r_a_b",
			"/a/b/c": "r_a__id_c",
			"/a/b/d": "r_a__",
			"/z/b/c": "r__any_b_c",
		});
	});

	test("one that names methods takes those, and the other the rest; where none takes a method, those that some take are told", () => {
		const [all, posts] = [aRoute("all", "/a"), aRoute("posts", "/a", ["POST"])];
		expect([routed([all, posts], "/a", "POST"), routed([all, posts], "/a")]).toEqual(["posts", "all"]);
		expect(choose(routesOf({ routes: [posts], protections: [] }), HOST, "/a", "GET")).toEqual({ kind: "no_method", allowed: ["POST"] });
		expect(choose(routesOf({ routes: [posts], protections: [] }), "other.example.com", "/a", "POST")).toEqual({ kind: "no_route" });
	});

	const part = fc.constantFrom("a", "b", ":", "*");
	const paths = fc.array(part, { maxLength: 4 }).map((parts) => {
		const end = parts.indexOf("*");
		return `/${(end < 0 ? parts : parts.slice(0, end + 1)).map((each, i) => (each === ":" ? `:p${i}` : each)).join("/")}`;
	});
	const methods = fc.option(fc.uniqueArray(fc.constantFrom("GET", "POST", "PUT"), { minLength: 1 }), { nil: undefined });
	const some = fc.array(fc.record({ path: paths, methods }), { maxLength: 12 }).map((given) => {
		const all = given.map((each, i) => aRoute(`r${i}`, each.path, each.methods));
		// As they are written: what conflicts with one that is there is refused.
		return all.filter((each, i) => !all.slice(0, i).some((earlier) => conflict(earlier, each)));
	});
	const request = fc.array(fc.constantFrom("a", "b", "x", ""), { maxLength: 5 }).map((parts) => `/${parts.join("/")}`);

	test("the choice does not depend on their order", () => {
		fc.assert(
			fc.property(some, request, fc.constantFrom("GET", "POST"), fc.nat(), (routes, path, method, turn) => {
				const at = routes.length === 0 ? 0 : turn % routes.length;
				const turned = [...routes.slice(at), ...routes.slice(0, at)].toReversed();
				expect(routed(turned, path, method)).toBe(routed(routes, path, method));
			}),
			{ numRuns: 500 },
		);
	});

	test("the one that is chosen matches, and none that matches comes before it; nothing that matches is missed", () => {
		fc.assert(
			fc.property(some, request, (routes, path) => {
				const fits = routes.filter((each) => matchesPath(each.path, partsOf(path)) && (each.methods?.includes("GET") ?? true));
				const key = routed(routes, path);
				if (fits.length === 0) expect(["no_route", "no_method"]).toContain(key);
				else {
					const found = fits.find((each) => each.key === key);
					expect(found).toBeDefined();
					for (const each of fits) expect(comparePaths(found?.path ?? [], each.path)).toBeLessThanOrEqual(0);
				}
			}),
			{ numRuns: 500 },
		);
	});

	test("two that no rule tells apart conflict, whichever comes first", () => {
		fc.assert(
			fc.property(paths, methods, paths, methods, (a, ofA, b, ofB) => {
				const [one, other] = [aRoute("one", a, ofA), aRoute("other", b, ofB)];
				expect(conflict(one, other)).toBe(conflict(other, one));
				const isSame = comparePaths(one.path, other.path) === 0 && one.path.every((each, i) => each === other.path[i]);
				const both = ofA && ofB ? ofA.some((each) => ofB.includes(each)) : !ofA && !ofB;
				expect(conflict(one, other)).toBe(isSame && one.path.length === other.path.length && both);
			}),
			{ numRuns: 500 },
		);
	});
});

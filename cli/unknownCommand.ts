import { nearest } from "../core/health/suggest";
import type { Command } from "./command";

/** What somebody probably meant by words that are no command. */
export function unknownCommand(words: readonly string[], commands: readonly Pick<Command, "name">[]): string {
	const [first = "", second = ""] = words;
	const names = commands.map(({ name }) => name);
	const group = names.filter((name) => name.startsWith(`${first} `)).map((name) => name.slice(first.length + 1));
	const isGroup = group.length > 0;
	const said = isGroup ? `${first} ${second}`.trim() : first;
	const there = `there is no command ${said}`;
	if (isByApi(first, second)) return `${there}: that goes by the API, and flags and segments by tidegate import too: docs/guide.md`;
	const meant = isGroup ? withinGroup(first, second, group) : anywhere(first, second, names);
	if (meant.length === 0) return `${there}: tidegate --help shows those there are`;
	return `${there}: did you mean ${meant.map((name) => `"tidegate ${name}"`).join(" or ")}?`;
}

/** What a rollout's are called elsewhere. */
const ALSO_CALLED: Readonly<Record<string, string>> = {
	"rollout status": "rollout show",
	"rollout stop": "rollout pause",
	"rollout abort": "rollout cancel",
	"routes show": "routes get",
};

function withinGroup(first: string, second: string, group: readonly string[]): readonly string[] {
	const also = ALSO_CALLED[`${first} ${second}`];
	if (also !== undefined) return [also];
	const meant = nearest(second, group);
	return meant === undefined ? [] : [`${first} ${meant}`];
}

/** "rollback" is what "rollout rollback" ends in. */
function anywhere(first: string, second: string, names: readonly string[]): readonly string[] {
	const endings = names.filter((name) => name.endsWith(` ${first}`));
	if (endings.length > 0) return endings.slice(0, 3);
	const pairs = names.filter((name) => name.includes(" "));
	const begins = [...new Set(names.map((name) => name.split(" ")[0] ?? ""))];
	const meant = nearest(`${first} ${second}`, pairs) ?? nearest(first, begins);
	if (meant !== undefined) return [meant];
	const ending = nearest(
		first,
		pairs.map((name) => name.split(" ").at(-1) ?? ""),
	);
	return pairs.filter((name) => name.endsWith(` ${ending ?? ""}`)).slice(0, 3);
}

const BY_API = new Set(["segment", "webhook", "key", "sdk-key", "metric", "audit", "promote"]);
const WRITES = new Set(["create", "add", "new", "set", "update", "edit", "delete", "remove", "rm"]);

function isByApi(first: string, second: string): boolean {
	const what = first.replace(/s$/, "");
	return BY_API.has(what) || (what === "flag" && WRITES.has(second));
}

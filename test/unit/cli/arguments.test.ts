import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { commands } from "../../../cli/commands";
import { EXIT } from "../../../cli/exit";
import { readArguments } from "../../../cli/options";
import { tidegate } from "./world";

test.each<[argv: string, says: string]>([
	["", "name a command: login"],
	["rollout", "name a command: rollout list, rollout show"],
	["rolout list", 'did you mean "tidegate rollout list"?'],
	["rollout lst", 'did you mean "tidegate rollout list"?'],
	["flags gt", 'did you mean "tidegate flags get"?'],
	["staus", 'did you mean "tidegate status"?'],
	["frobnicate", "tidegate --help shows those there are"],
	["rollback x.1", 'did you mean "tidegate rollout rollback"?'],
	["start x.1", 'did you mean "tidegate rollout start"?'],
	["apply", 'did you mean "tidegate plan apply"?'],
	["validat plan.yaml", 'did you mean "tidegate plan validate" or "tidegate routes validate"?'],
	["list", 'did you mean "tidegate flags list" or "tidegate rollout list" or "tidegate routes list"?'],
	["routes show shop", 'did you mean "tidegate routes get"?'],
	["rollout status x.1", 'did you mean "tidegate rollout show"?'],
	["flags create x", "that goes by the API, and flags and segments by tidegate import too: docs/guide.md"],
	["segments", "that goes by the API"],
	["webhooks list", "that goes by the API"],
	["keys", "that goes by the API"],
	["audit", "that goes by the API"],
	["kill", "kill takes <flag>"],
	["kill a b", '"b" is one too many'],
	["status now", '"now" is one too many'],
	["status --enviroment staging", "did you mean --environment?"],
	["status --env staging", "did you mean --environment?"],
	["status --frobnicate", "there is no option --frobnicate: --help"],
	["status -e prod", "there is no environment prod: did you mean production?"],
	["status -e moon", "it is production or staging"],
	["status --start", "status takes no --start, but plan apply"],
	["rollout pause x.1 -e staging", "the rollout's id says which it is"],
	["kill a --reason", "--reason takes a value: --reason=<text>"],
	["kill a --reason --dry-run", "--reason takes a value"],
	["status --json=yes", "--json takes no value"],
	["kill a --reason x --reason y", "--reason is given twice"],
	["rollout list --limit many", "--limit takes a number from 1 to 1000"],
	["rollout list --limit 0", "--limit takes a number from 1 to 1000"],
	["rollout list --status live", "it is one of draft, scheduled, validating, running"],
	["rollout list --status running,live", "there is no status live"],
	["rollout watch x.1 --interval soon", '--interval takes a duration as in 90s, 5m or 2h, not "soon"'],
	["emergency-rollback --flags a,,b", "--flags takes keys with commas between them"],
	["explain f --context plan", "write key=value, or key:=value"],
	["explain f --context age:=old", "is no JSON: a text is written age=old"],
	["explain f --context-json [1]", "--context-json takes an object"],
	["status --profile ../x", "a profile's name has letters"],
	["status --profile nobody", "tidegate login <url> --profile nobody"],
	["logout --profile nobody", "there is no profile nobody"],
	["status --url ftp://x", "is no URL: write it as in https://"],
	["login localhost:8788", "did you mean http://localhost:8788?"],
	["login control.example.com", "did you mean https://control.example.com?"],
	["login !", "is no URL: write it as in https://"],
	["status --url https://a:b@x", "no user, password"],
	["status", "tidegate login <url>, or set TIDEGATE_URL and TIDEGATE_TOKEN"],
	["plan validate nowhere.yaml", "nowhere.yaml cannot be read: there is no such file"],
])("tidegate %s is a mistake in the usage, and says what to do: %s", async (argv, says) => {
	// With a login only where it is not what is missing.
	const env = argv === "status" || argv.includes("--profile") ? {} : { TIDEGATE_URL: "http://localhost:1", TIDEGATE_TOKEN: "t" };
	const { exit, out, err } = await tidegate(argv.split(" ").filter(Boolean), { env });
	expect(err).toContain(says);
	expect({ exit, out }).toEqual({ exit: EXIT.usage, out: "" });
});

test("with --json a mistake is one JSON object on stdout too", async () => {
	const { exit, out } = await tidegate(["kill", "--json"]);
	expect(exit).toBe(2);
	expect(JSON.parse(out)).toEqual({ error: { message: "kill takes <flag>: tidegate kill <flag>", exitCode: 2 } });
});

describe("options", () => {
	test("stand before, between and after the words, and may be joined by =", () => {
		const { words, options, given } = readArguments(["--json", "kill", "-e", "staging", "cart", "--reason=a b"]);
		expect(words).toEqual(["kill", "cart"]);
		expect(options).toMatchObject({ json: true, environment: "staging", reason: "a b", yes: false, context: [] });
		expect(given).toEqual(["json", "environment", "reason"]);
	});

	test("a value that begins with a dash is joined by =, and -- ends the options", () => {
		expect(readArguments(["kill", "--reason=-5 %"]).options.reason).toBe("-5 %");
		expect(readArguments(["kill", "--", "--json"])).toMatchObject({ words: ["kill", "--json"], options: { json: false } });
	});

	test("of a context are collected", () => {
		expect(readArguments(["explain", "f", "--context", "a=1", "--context", "b=2"]).options.context).toEqual(["a=1", "b=2"]);
	});
});

describe("help", () => {
	test("lists every command, and needs no login", async () => {
		const { exit, out } = await tidegate(["--help"]);
		expect(exit).toBe(EXIT.ok);
		for (const { name } of commands) expect(out).toContain(`  ${name} `);
	});

	test.each(commands.map(({ name }) => name))("of %s shows its options and an example of it", async (name) => {
		const asked = await tidegate([...name.split(" "), "--help"]);
		expect(asked).toEqual(await tidegate(["help", ...name.split(" ")]));
		const command = commands.find((each) => each.name === name);
		expect(asked).toMatchObject({ exit: EXIT.ok, err: "" });
		for (const option of command?.options ?? []) expect(asked.out).toContain(`--${option}`);
		expect(asked.out).toContain(`  tidegate ${name}`);
	});

	test.each([
		["token create", "production or staging, and no other (default: all)"],
		["rollout rollback", "--flags <a,b>            feature: the flags that go back"],
		["emergency-rollback", "only the rollouts that hold these flags\n"],
		["checks report", "--status <status>     passed, failed, warning\n"],
		["rollout list", "draft, running, paused, completed…\n"],
	])("of %s says what an option means to it: %s", async (name, says) => {
		expect((await tidegate([...name.split(" "), "--help"])).out.replace(/ +/g, " ")).toContain(says.replace(/ +/g, " "));
	});

	test("of a group lists what is in it", async () => {
		const { out } = await tidegate(["plan", "--help"]);
		expect(out).toContain("tidegate plan <command>:");
		expect(out).toContain("plan apply <file>");
		expect(out).not.toContain("rollout list");
	});
});

test("--version is that of package.json", async () => {
	const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
	expect((await tidegate(["--version"])).out).toBe(`${version}\n`);
	expect(JSON.parse((await tidegate(["--version", "--json"])).out)).toEqual({ version });
});

describe("docs/cli.md", () => {
	const docs = readFileSync("docs/cli.md", "utf8");
	test.each(commands.map(({ name }) => name))("has an example of %s", (name) => expect(docs).toMatch(new RegExp(`tidegate ${name}\\b`)));
	test.each(Object.values(EXIT))("says what exit code %i means", (code) => expect(docs).toMatch(new RegExp(`^\\| +${code} +\\|`, "m")));
});

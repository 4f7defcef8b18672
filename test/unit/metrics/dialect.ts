/**
 * What Analytics Engine's SQL API is documented to take, as far as Tidegate uses it; a ClickHouse accepts far more. Grammar:
 * SELECT … FROM table or (subquery) WHERE, GROUP BY, ORDER BY, LIMIT, OFFSET, FORMAT. A name is a column of the table, or of the
 * subquery, or, in GROUP BY and ORDER BY, of the query's own answer; whatever else looks like one is not in the dialect.
 */

/** The functions, and how many arguments each takes. */
const FUNCTIONS = new Map(
	(
		[
			["now", 0, 0],
			["count", 0, 1],
			["sum avg min max first_value last_value countIf", 1, 1],
			["log lower upper toUInt32 toUnixTimestamp toStartOfMinute toStartOfHour toStartOfDay", 1, 1],
			["round floor ceil toDateTime", 1, 2],
			["argMin argMax sumIf avgIf quantileExactWeighted intDiv pow startsWith", 2, 2],
			["toStartOfInterval formatDateTime substring", 2, 3],
			["if", 3, 3],
		] as const
	).flatMap(([names, min, max]) => names.split(" ").map((name) => [name, { min, max }] as const)),
);
/** These take a parameter before their arguments. */
const PARAMETRIC = new Set(["quantileExactWeighted"]);
const CLAUSES = ["FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET", "FORMAT"] as const;
const OPERATORS = new Set(["AND", "OR", "NOT", "IN", "BETWEEN"]);
const UNITS = new Set(["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"]);
const RESERVED = new Set<string>([
	...CLAUSES,
	...OPERATORS,
	"SELECT",
	"AS",
	"BY",
	"INTERVAL",
	"DISTINCT",
	"ASC",
	"DESC",
	"HAVING",
	"JOIN",
	"UNION",
	"WITH",
]);
const numbered = (kind: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${kind}${i + 1}`);
const TABLE = new Set(["dataset", "timestamp", "_sample_interval", "index1", ...numbered("blob", 20), ...numbered("double", 20)]);

const TOKEN =
	/(?<space>\s+)|(?<text>'(?:''|\\[\s\S]|[^'\\])*')|(?<number>\d+(?:\.\d+)?)|(?<word>[A-Za-z_][A-Za-z0-9_]*)|(?<sign><>|!=|<=|>=|[-+*/%=<>(),])/y;

interface Token {
	readonly kind: "text" | "number" | "word" | "sign";
	readonly text: string;
}

/** What of the query is outside the dialect; empty: nothing. */
export function outsideDialect(sql: string): string[] {
	try {
		const reader = new Reader(tokenise(sql));
		reader.select("FORMAT");
		if (reader.peek) throw new Error(`${reader.peek.text} after the end`);
		return [];
	} catch (error) {
		return [(error as Error).message];
	}
}

function tokenise(sql: string): Token[] {
	const tokens: Token[] = [];
	TOKEN.lastIndex = 0;
	while (TOKEN.lastIndex < sql.length) {
		const at = TOKEN.lastIndex;
		if (sql.startsWith("--", at) || sql.startsWith("/*", at)) throw new Error(`a comment at ${at}`);
		const groups = TOKEN.exec(sql)?.groups;
		if (!groups) throw new Error(`${JSON.stringify(sql.slice(at, at + 10))} at ${at}`);
		for (const kind of ["text", "number", "word", "sign"] as const) {
			const text = groups[kind];
			if (text !== undefined) tokens.push({ kind, text });
		}
	}
	return tokens;
}

class Reader {
	#i = 0;
	readonly #tokens: readonly Token[];

	constructor(tokens: readonly Token[]) {
		this.#tokens = tokens;
	}

	get peek(): Token | undefined {
		return this.#tokens[this.#i];
	}

	/** The columns of its answer. */
	select(last: "FORMAT" | ")"): ReadonlySet<string> {
		this.#take("SELECT");
		const items = this.#until("FROM");
		this.#take("FROM");
		const columns = this.#source();
		const answer = new Set<string>();
		for (const item of splitByComma(items)) {
			const as = item.at(-2)?.text === "AS" ? item.at(-1) : undefined;
			if (as && (as.kind !== "word" || RESERVED.has(as.text.toUpperCase()))) throw new Error(`${as.text} as a name`);
			if (as && TABLE.has(as.text)) throw new Error(`${as.text} names a column of the table and one of the answer`);
			expression(as ? item.slice(0, -2) : item, columns);
			const own = as ?? (item.length === 1 ? item[0] : undefined);
			if (own) answer.add(own.text);
		}
		const named = new Set([...columns, ...answer]);
		if (this.#has("WHERE")) expression(this.#until(...CLAUSES.slice(2), ")"), columns);
		if (this.#has("GROUP")) this.#list(["ORDER", "LIMIT", "OFFSET", "FORMAT", ")"], named);
		if (this.#has("ORDER")) this.#list(["LIMIT", "OFFSET", "FORMAT", ")"], named);
		for (const clause of ["LIMIT", "OFFSET"]) if (this.#has(clause)) this.#kind("number");
		if (last === "FORMAT") {
			this.#take("FORMAT");
			this.#take("JSON");
		}
		return answer;
	}

	#source(): ReadonlySet<string> {
		if (this.peek?.text !== "(") {
			this.#kind("word");
			return TABLE;
		}
		this.#take("(");
		const columns = this.select(")");
		this.#take(")");
		return columns;
	}

	#list(ends: readonly string[], names: ReadonlySet<string>): void {
		this.#take("BY");
		for (const item of splitByComma(this.#until(...ends)))
			expression(item.at(-1)?.text === "ASC" || item.at(-1)?.text === "DESC" ? item.slice(0, -1) : item, names);
	}

	#has(word: string): boolean {
		if (this.peek?.text !== word) return false;
		this.#i++;
		return true;
	}

	#take(text: string): void {
		if (!this.#has(text)) throw new Error(`${this.peek?.text ?? "the end"} instead of ${text}`);
	}

	#kind(kind: Token["kind"]): void {
		if (this.peek?.kind !== kind) throw new Error(`${this.peek?.text ?? "the end"} instead of a ${kind}`);
		this.#i++;
	}

	/** The tokens up to one of these, outside parentheses. */
	#until(...ends: readonly string[]): Token[] {
		const found: Token[] = [];
		for (let depth = 0; this.peek && !(depth === 0 && ends.includes(this.peek.text)); this.#i++) {
			if (this.peek.text === "(") depth++;
			if (this.peek.text === ")") depth--;
			found.push(this.peek);
		}
		return found;
	}
}

/** Functions, operators, literals and these names; no subquery. */
function expression(tokens: readonly Token[], names: ReadonlySet<string>): void {
	if (tokens.length === 0) throw new Error("an empty expression");
	tokens.forEach(({ kind, text }, i) => {
		const next = tokens[i + 1]?.text;
		const before = tokens[i - 1]?.text;
		if (text === ")" && next === "(" && !PARAMETRIC.has(functionThatEndsAt(tokens, i))) throw new Error("parentheses after parentheses");
		if (kind !== "word") return;
		if (next === "(" && !OPERATORS.has(text)) return call(text, tokens, i);
		if (OPERATORS.has(text) || text === "true" || text === "false") return;
		if (text === "DISTINCT" && before === "(" && tokens[i - 2]?.text === "count") return;
		if (text === "INTERVAL" && tokens[i + 1]?.kind === "text" && UNITS.has(tokens[i + 2]?.text ?? "")) return;
		if (UNITS.has(text) && tokens[i - 2]?.text === "INTERVAL") return;
		if (!names.has(text)) throw new Error(`unknown name ${text}`);
	});
}

function call(name: string, tokens: readonly Token[], i: number): void {
	const limits = FUNCTIONS.get(name);
	if (!limits) throw new Error(`unknown function ${name}`);
	let open = i + 1;
	if (PARAMETRIC.has(name)) open = closing(tokens, open) + 1;
	if (tokens[open]?.text !== "(") throw new Error(`${name} without its parameter`);
	const given = tokens.slice(open + 1, closing(tokens, open));
	const count = given.length === 0 ? 0 : splitByComma(given).length;
	if (count < limits.min || count > limits.max) throw new Error(`${name} with ${count} arguments`);
}

function closing(tokens: readonly Token[], open: number): number {
	for (let i = open, depth = 0; i < tokens.length; i++) {
		if (tokens[i]?.text === "(") depth++;
		if (tokens[i]?.text === ")" && --depth === 0) return i;
	}
	throw new Error("parentheses that do not close");
}

function functionThatEndsAt(tokens: readonly Token[], close: number): string {
	for (let i = close, depth = 0; i >= 0; i--) {
		if (tokens[i]?.text === ")") depth++;
		if (tokens[i]?.text === "(" && --depth === 0) return tokens[i - 1]?.text ?? "";
	}
	return "";
}

function splitByComma(tokens: readonly Token[]): Token[][] {
	const parts: Token[][] = [[]];
	let depth = 0;
	for (const token of tokens) {
		if (token.text === "(") depth++;
		if (token.text === ")") depth--;
		if (token.text === "," && depth === 0) parts.push([]);
		else parts.at(-1)?.push(token);
	}
	return parts;
}

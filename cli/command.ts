import type { Control, Write } from "./controlApi";
import type { ExitCode } from "./exit";
import type { OptionName, Options } from "./options";
import type { Paint } from "./output";
import type { World } from "./world";

export interface Command {
	/** As it is typed: "rollout start". */
	readonly name: string;
	/** What follows: `<one>`, `[perhaps]`, `[any…]`. */
	readonly takes: string;
	/** One line. */
	readonly about: string;
	/** Beside the global ones. */
	readonly options: readonly OptionName[];
	/** Of options, where the command says more of them than all others do. */
	readonly means?: Readonly<Partial<Record<OptionName, string>>>;
	readonly examples: readonly string[];
	/** What else one should know. */
	readonly notes?: string;
	run(call: Call): Promise<Answer>;
}

export interface Call {
	/** What followed the command's name, as many as it takes. */
	readonly args: readonly string[];
	readonly options: Options;
	/** As they were named on the command line. */
	readonly given: readonly OptionName[];
	readonly environment: string;
	readonly world: World;
	readonly paint: Paint;
	/** Throws where nobody has logged in. */
	readonly control: () => Control;
	/** A line on stderr, beside the answer. */
	readonly note: (text: string) => void;
}

export interface Answer {
	/** What --json prints. */
	readonly json: unknown;
	/** What people read; "" prints nothing. */
	readonly text: string;
	readonly exit?: ExitCode;
}

/** Of --dry-run: the requests that would be sent, without the token. */
export function wouldSend(control: Pick<Control, "locate">, writes: readonly Write[]): Answer {
	const requests = writes.map((write) => ({
		method: write.method,
		url: control.locate(write),
		...(write.ifMatch === undefined ? {} : { headers: { "if-match": `"${write.ifMatch}"` } }),
		...(write.body === undefined ? {} : { body: write.body }),
	}));
	const shown = requests.map(({ method, url, headers, body }) =>
		[
			`${method} ${url}`,
			...(headers ? [`if-match: ${headers["if-match"]}`] : []),
			...(body === undefined ? [] : [JSON.stringify(body, null, 2)]),
		].join("\n"),
	);
	return { json: { dryRun: true, requests }, text: ["nothing was sent; this would be:", ...shown].join("\n\n") };
}

/** What scripts go by. Documented in docs/cli.md, and kept: a number never changes its meaning. */
export const EXIT = {
	ok: 0,
	failure: 1,
	usage: 2,
	rolledBack: 3,
	cancelled: 4,
	unreachable: 5,
	timedOut: 6,
	unauthorized: 7,
	interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An end that was to be expected: a message that says what to do, and an exit code. Whatever else is thrown is a bug. */
export class Stop extends Error {
	readonly exit: ExitCode;
	/** For --json, beside the message. */
	readonly details: Readonly<Record<string, unknown>>;
	constructor(exit: ExitCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
		super(message);
		this.exit = exit;
		this.details = details;
	}
}

export const usageError = (message: string): Stop => new Stop(EXIT.usage, message);
export const failure = (message: string, details?: Readonly<Record<string, unknown>>): Stop => new Stop(EXIT.failure, message, details);

/** What the process gives a command. Tests give their own. */
export interface World {
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly out: Sink;
	readonly err: Sink;
	readonly stdin: { readonly isTTY: boolean; text(): Promise<string> };
	/** Asks a person. What is secret is not shown while it is typed. */
	readonly ask: (question: string, isSecret: boolean) => Promise<string>;
	now(): number;
	/** Ends early when it is interrupted. */
	sleep(ms: number): Promise<void>;
	/** Ctrl-C. */
	readonly interrupted: AbortSignal;
}

export interface Sink {
	readonly isTTY: boolean;
	readonly columns: number;
	readonly rows: number;
	write(text: string): void;
}

// The contract is relative to this file, or the absolute path in CONTRACT.
export default {
  talon: {
    input: process.env.CONTRACT ?? '../../../../openapi.yaml',
    output: {
      target: 'generated/talon.ts',
      client: 'fetch',
      override: { mutator: { path: './fetch.ts', name: 'send' } },
    },
  },
};

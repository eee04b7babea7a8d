import { defineConfig } from 'vite';

export default defineConfig({
  base: './', // relative, so that the page works below any path
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the Content-Security-Policy of the page forbids data: URLs
  },
  server: { proxy: { '^/(directions|appointments|slots|sandbox|rules|health)': 'http://127.0.0.1:8080' } },
});

import { defineConfig } from 'vite';

export default defineConfig({
  base: './', // wherever the page is put
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the page's Content-Security-Policy allows no data: address
  },
  server: { proxy: { '^/(directions|appointments|slots|sandbox|rules|health)': 'http://127.0.0.1:8080' } },
});

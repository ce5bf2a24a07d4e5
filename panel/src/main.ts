import { mount } from 'svelte';
import App from './App.svelte';
import { feed } from './lib/feed/feed.svelte';
import { keepFresh } from './lib/feed/renewal';
import { fleet } from './lib/store/fleet.svelte';
import './styles/index.css';

feed.start((frame, move) => fleet.take(frame, move));
keepFresh();
mount(App, { target: document.body });

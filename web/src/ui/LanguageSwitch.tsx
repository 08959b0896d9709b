import { Button } from 'react-aria-components';
import { languageName, LANGUAGES, useLanguage, useText } from '../i18n';

export function LanguageSwitch() {
  const text = useText();
  const { language, choose } = useLanguage();
  return (
    <div className="language-switch" role="group" aria-label={text.menu.language}>
      {LANGUAGES.map((each) => (
        <Button key={each} className="link-button" aria-pressed={each === language} onPress={() => choose(each)}>
          <span lang={each}>{languageName(each)}</span>
        </Button>
      ))}
    </div>
  );
}

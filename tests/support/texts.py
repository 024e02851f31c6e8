"""What customers write, in twenty languages: a complaint about a parcel, and a word of thanks."""

from collections.abc import Mapping

IN_TWENTY_LANGUAGES: Mapping[str, tuple[str, str]] = {
    "ar": ("لم تصل الطلبية حتى الآن وأنا مستاء جدًا من خدمتكم.", "شكرًا على المساعدة."),
    "bn": ("আমার পার্সেল এখনও আসেনি এবং আমি খুবই হতাশ।", "সাহায্যের জন্য ধন্যবাদ।"),
    "cs": ("Můj balík stále nedorazil a jsem velmi zklamaný vašimi službami.", "Děkuji za pomoc."),
    "de": ("Mein Paket ist immer noch nicht da und ich bin wirklich enttäuscht.", "Danke für die Hilfe."),
    "el": ("Το δέμα μου δεν έχει φτάσει ακόμα και είμαι πολύ απογοητευμένος.", "Ευχαριστώ για τη βοήθεια."),
    "en": ("My parcel has still not arrived and I am really disappointed.", "Thanks for the help."),
    "es": ("Mi paquete todavía no ha llegado y estoy muy decepcionado con el servicio.", "Gracias por la ayuda."),
    "fi": ("Pakettini ei ole vieläkään saapunut ja olen todella pettynyt palveluun.", "Kiitos avusta."),
    "fr": ("Mon colis n'est toujours pas arrivé et je suis vraiment déçue du service.", "Merci de votre aide."),
    "he": ("החבילה שלי עדיין לא הגיעה ואני מאוכזב מאוד מהשירות.", "תודה על העזרה."),
    "hi": ("मेरा पार्सल अभी तक नहीं आया है और मैं बहुत निराश हूँ।", "मदद के लिए धन्यवाद।"),
    "id": ("Paket saya belum juga sampai dan saya sangat kecewa dengan layanan Anda.", "Terima kasih atas bantuannya."),
    "ja": ("荷物がまだ届きません。とても残念です。返金をお願いします。", "ご対応ありがとうございます。"),
    "ko": ("택배가 아직도 도착하지 않아서 정말 실망했습니다.", "도와주셔서 감사합니다."),
    "pl": ("Moja paczka nadal nie dotarła i jestem bardzo rozczarowany obsługą.", "Dziękuję za pomoc."),
    "pt": ("A minha encomenda ainda não chegou e estou muito desiludido com o serviço.", "Obrigado pela ajuda."),
    "ru": ("Моя посылка до сих пор не пришла, и я очень разочарован.", "Спасибо за помощь."),
    "th": ("พัสดุของฉันยังไม่มาถึงและฉันผิดหวังมาก", "ขอบคุณสำหรับความช่วยเหลือ"),
    "tr": ("Kargom hâlâ gelmedi ve hizmetinizden gerçekten hayal kırıklığına uğradım.", "Yardım için teşekkürler."),
    "zh": ("我的包裹到现在还没有到，我对你们的服务非常失望。", "谢谢你的帮助。"),
}
